"""A path and its weight: the one number under every diffusion sampler. Read this file first.

    log w = log R(x_K) − log p₀(x_0) + Σ_k [ log P_B(x_k | x_{k+1}) − log P_F(x_{k+1} | x_k) ]

R is the unnormalized target, P_F the learned forward kernel, P_B the noising kernel. When P_F draws the states,
E[w] = Z exactly, for any kernels and any number of steps.

``States`` hold where paths went. A ``ScoredPath`` also holds the densities of both kernels, and so its log weight.
``simulation.py`` draws states, from P_F or backwards from known ends. ``log_probs`` evaluates both kernels on all
states in one batched call, and turns states into a scored path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import torch

from amortized._types import Belief, Tensor, by_context, for_rows, renamed_member
from amortized.policies.base import Policy, Steering
from amortized.processes.base import Process
from amortized.processes.transitions import log_normal
from amortized.targets.base import Target

STATES_IN_MEMORY = 50_000_000
"""Numbers of single precision: 200 megabytes."""


@dataclass(frozen=True)
class States:
    """B paths of K steps, before their kernels are evaluated.

    Args:
        states: ``(K+1, B, S)``.
        log_target: ``log R(x_K): (B,)`` float64, in nats.
        scores: ``(K, B, D)``, ``∇ log R`` where each step asks for it; None if the policy does not need it.
        log_targets: ``(K, B)`` float64, ``log R`` at the same places; never None when the scores are there.
        context: ``(M, C)``, the target's; path i belongs to context ``i mod M``.
        indices: ``(M,)``, places of these contexts in their collection.
        dim: D, where a state carries more than the target's variables.
        belief_means: ``(K, B, D)``, the process's beliefs before each step where it keeps them.
        belief_stds: ``(K, B, D)``, of the same.
        steering: the policy that drew these states, if it kept what it computed.
        process: the process that drew them. What was kept holds for no other process, nor for other times.
    """

    states: Tensor
    log_target: Tensor
    scores: Tensor | None = None
    log_targets: Tensor | None = None
    context: Tensor | None = None
    indices: Tensor | None = None
    dim: int | None = None
    belief_means: Tensor | None = None
    belief_stds: Tensor | None = None
    steering: Steering | None = None
    process: Process | None = None

    @property
    def ends(self) -> Tensor:
        """The target's variables of ``x_K``: ``(B, D)``."""
        return self.states[-1][..., : self.dim]

    @property
    def belief(self) -> Belief | None:
        """The kept beliefs."""
        if self.belief_means is None or self.belief_stds is None:
            return None
        return Belief(self.belief_means, self.belief_stds)

    def by_context(self, values: Tensor) -> Tensor:
        """``(..., B)`` as ``(..., B / M, M)``: a column for each context, one column without contexts."""
        return by_context(values, 1 if self.context is None else len(self.context))

    if not TYPE_CHECKING:  # the type checker already sees that states have no weights

        def __getattr__(self, name: str) -> object:
            hint = "; write path = log_probs(process, policy, path)" if type(self) is States else ""
            raise AttributeError(f"{type(self).__name__} has no {name!r}{hint}")


@dataclass(frozen=True, kw_only=True)
class ScoredPath(States):
    """B paths with the log densities of both kernels, in nats.

    Args:
        log_prior: ``log p₀(x_0): (B,)``, less the log density of what ``x_K`` carries beside the target's variables.
        log_forward: ``log P_F: (K, B)``.
        log_backward: ``log P_B: (K, B)``.
        times: ``(K,)``, of the states before each step.
        features: ``(K, B, S)``, these states in units of the reference's std.
        marginal: computes ``log_marginal``; most objectives never ask.
    """

    log_prior: Tensor
    log_forward: Tensor
    log_backward: Tensor
    times: Tensor
    features: Tensor
    marginal: Callable[[], Tensor]

    @property
    def log_marginal(self) -> Tensor:
        """Log density under the reference of the state before each step: ``(K, B)``."""
        return self.marginal()

    @property
    def log_proposal(self) -> Tensor:
        """``log p₀ + Σ (log P_F − log P_B): (B,)``: what stands in for the sampler's log density at ``x_K``."""
        return self.log_prior.double() + (self.log_forward.double() - self.log_backward.double()).sum(0)

    @property
    def log_weight(self) -> Tensor:
        """``log w: (B,)`` in nats, summed in float64."""
        return self.log_target.double() - self.log_proposal


FIELDS = tuple(field.name for field in fields(States))
"""What a scored path takes over."""

AnyPath = TypeVar("AnyPath", bound=States)


def kernel(
    process: Process,
    policy: Policy,
    k: int | Tensor,
    x: Tensor,
    score: Tensor | None,
    context: Tensor | None = None,
    belief: Belief | None = None,
) -> tuple[Tensor, Tensor]:
    """Mean and std of ``P_F(x_{k+1} | x_k = x)``; k is a step, or one for each leading slice of x."""
    t = process.times[k].to(x.dtype)
    t = t.reshape(t.shape + (1,) * (x.ndim - t.ndim))
    belief, langevin = seen(process, k, x, score, belief)
    return process.forward(k, x, belief, policy(process.features(k, x), t, langevin, context))


def seen(
    process: Process, k: int | Tensor, x: Tensor, score: Tensor | None, belief: Belief | None = None
) -> tuple[Belief | None, Tensor | None]:
    """The belief before a step, None if neither given nor needed, and the shift that the score proposes."""
    if score is None:
        return belief, None
    belief = process.belief(k, x) if belief is None else belief
    return belief, process.langevin(process.layout.visited(k, x), score, belief)


def read(policy: Policy, context: Tensor | None, batch: int) -> Tensor | None:
    """The policy's features of contexts ``(M, C)``, for each of ``batch`` paths: ``(B, E)``; each is read once."""
    return None if context is None else for_rows(policy.read(context), batch)


def with_scores(process: Process, target: Target, path: AnyPath) -> AnyPath:
    """The path with ``log R`` and its score wherever a step asks for them, in one batched call."""
    places = _places(process, path)
    log_targets, scores = target.log_prob_and_score(places.flatten(0, 1))
    return replace(
        path,
        scores=scores.reshape(places.shape).to(path.states.dtype),
        log_targets=log_targets.double().reshape(places.shape[:-1]),
    )


def with_log_targets(process: Process, target: Target, path: AnyPath) -> AnyPath:
    """The path with ``log R`` wherever a step starts, in one batched call; the path itself if it has them."""
    if path.log_targets is not None:
        return path
    places = _places(process, path)
    log_targets = target.log_prob(places.flatten(0, 1)).double()
    return replace(path, log_targets=log_targets.reshape(places.shape[:-1]))


def log_probs(process: Process, policy: Policy, path: States) -> ScoredPath:
    """Log densities of both kernels on all K·B states of a path, in one call of the policy."""
    found = _recalled(process, policy, path)
    if found is not None:
        return scored(process, path, *found)
    k, x = _steps(path), path.states[:-1]
    kept = path.belief if path.process is process else None
    context = read(policy, path.context, x.shape[1])
    context = context if context is None else context.expand(process.steps, *context.shape)
    return scored(process, path, *kernel(process, policy, k, x, path.scores, context, kept))


def _recalled(process: Process, policy: Policy, path: States) -> tuple[Tensor, Tensor, Tensor] | None:
    """Mean and std of the forward kernels, and the features, by what the policy kept; the control is let go."""
    if path.steering is None or path.process is not process:
        return None
    k, x = _steps(path), path.states[:-1]
    belief, langevin = seen(process, k, x, path.scores, path.belief)
    features = process.features(k, x)
    control = path.steering.recall(policy, features, langevin)
    return None if control is None else (*process.forward(k, x, belief, control), features)


def paths_at_once(process: Process, dim: int) -> int:
    """How many paths of ``dim`` variables fit into 200 megabytes with all of their states."""
    return max(1, STATES_IN_MEMORY // ((process.steps + 1) * dim))


def _steps(path: States) -> Tensor:
    return torch.arange(len(path.states) - 1, device=path.states.device)


def _places(process: Process, path: States) -> Tensor:
    """Where each step asks for the score: ``(K, B, D)``."""
    return process.layout.visited(_steps(path), path.states[:-1])


def scored(process: Process, path: States, mean: Tensor, std: Tensor, features: Tensor | None = None) -> ScoredPath:
    """The path with its densities, by the forward kernels' ``mean: (K, B, D)`` and a std that broadcasts against it.

    ``features`` are those of the states before each step; None computes them.
    """
    layout, k, x, y = process.layout, _steps(path), path.states[:-1], path.states[1:]
    log_backward = log_normal(layout.retraced(k, x), *process.backward(k, y))  # before the residuals that slopes need
    return ScoredPath(
        **{name: getattr(path, name) for name in FIELDS},
        log_prior=process.log_boundary(path.states[0], path.states[-1]),
        log_forward=process.transition.log_prob(layout.moved(k, y), mean, std),
        log_backward=log_backward,
        times=process.times[:-1].to(x.dtype),
        features=process.features(k, x) if features is None else features,
        marginal=partial(process.log_marginal, k, x),
    )


def __getattr__(name: str) -> Callable:
    return renamed_member(__name__, name, {"Path": ScoredPath, "score": log_probs})
