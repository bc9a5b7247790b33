"""A path and its weight: the one number under every diffusion sampler. Read this file first.

    log w = log R(x_K) − log p₀(x_0) + Σ_k [ log P_B(x_k | x_{k+1}) − log P_F(x_{k+1} | x_k) ]

R is the unnormalized target, P_F the learned forward kernel, P_B the noising kernel. When P_F draws the states,
E[w] = Z exactly, for any kernels and any number of steps.

``States`` hold where paths went. A ``ScoredPath`` also holds the densities of both kernels, and so its log weight.
``rollout`` simulates P_F and returns a scored path. ``reverse_rollout`` noises known ends and returns states.
``log_probs`` evaluates both kernels on all states in one batched call, and turns states into a scored path.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import torch

from amortized._types import Generator, Tensor, by_context, for_rows, renamed_member
from amortized.policies.base import Policy
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
    """

    states: Tensor
    log_target: Tensor
    scores: Tensor | None = None
    log_targets: Tensor | None = None
    context: Tensor | None = None
    indices: Tensor | None = None
    dim: int | None = None

    @property
    def ends(self) -> Tensor:
        """The target's variables of ``x_K``: ``(B, D)``."""
        return self.states[-1][..., : self.dim]

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


AnyPath = TypeVar("AnyPath", bound=States)


def kernel(
    process: Process, policy: Policy, k: int | Tensor, x: Tensor, score: Tensor | None, context: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and std of ``P_F(x_{k+1} | x_k = x)``; k is a step, or one for each leading slice of x."""
    t = process.times[k].to(x.dtype)
    t = t.reshape(t.shape + (1,) * (x.ndim - t.ndim))
    belief = process.belief(k, x)
    langevin = process.langevin(process.layout.visited(k, x), score, belief) if score is not None else None
    return process.forward(k, x, belief, policy(process.features(k, x), t, langevin, context))


def read(policy: Policy, context: Tensor | None, batch: int) -> Tensor | None:
    """The policy's features of contexts ``(M, C)``, for each of ``batch`` paths: ``(B, E)``; each is read once."""
    return None if context is None else for_rows(policy.read(context), batch)


def rollout(
    process: Process,
    policy: Policy,
    target: Target,
    batch: int,
    generator: Generator | None = None,
    inflation: float = 1.0,
    evaluate_ends: bool = True,
) -> ScoredPath:
    """Simulate P_F from the prior: a scored path, differentiable in the policy where gradients are enabled.

    The target's gradient enters at the ends; scores are constants.

    Args:
        process: the steps.
        policy: steers them.
        target: D variables; for M contexts row i belongs to context ``i mod M``.
        batch: B, a multiple of M.
        generator: of all draws.
        inflation: multiplies every forward std. The densities stay those of P_F itself, so that an inflated path has a
            log weight but is not a fair draw of P_F.
        evaluate_ends: False leaves ``log_target`` at 0.
    """
    layout = process.layout
    x = process.sample_prior(batch, target.dim, generator)
    states, scores, log_targets, log_forward, log_backward = [x], [], [], [], []
    context = read(policy, target.context, batch)
    for k in range(process.steps):
        if policy.needs_score:
            value, gradient = target.log_prob_and_score(layout.visited(k, x).detach())
            log_targets.append(value.double())
            scores.append(gradient)
        mean, std = kernel(process, policy, k, x, scores[-1] if scores else None, context)
        drawn = process.transition.draw(mean, inflation * std, generator)
        log_forward.append(process.transition.log_prob(drawn, mean, std))
        y = layout.advance(k, x, drawn)
        log_backward.append(log_normal(layout.retraced(k, x), *process.backward(k, y)))
        x = y
        states.append(x)
    ends = x[..., : target.dim]
    path = States(
        states=torch.stack(states),
        log_target=target.log_prob(ends).double() if evaluate_ends else x.new_zeros(batch, dtype=torch.float64),
        scores=torch.stack(scores) if scores else None,
        log_targets=torch.stack(log_targets) if scores else None,
        context=target.context,
        indices=target.indices,
        dim=target.dim,
    )
    return _scored(process, path, torch.stack(log_forward), torch.stack(log_backward))


def reverse_rollout(
    process: Process,
    policy: Policy,
    target: Target,
    ends: Tensor,
    log_target: Tensor,
    generator: Generator | None = None,
) -> States:
    """Noise known ends ``(B, D)`` back to the prior: states, with scores if the policy needs them."""
    states = process.bridge(ends, generator)
    path = States(states, log_target, context=target.context, indices=target.indices, dim=ends.shape[-1])
    return with_scores(process, target, path) if policy.needs_score else path


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
    layout, k, x, y = process.layout, _steps(path), path.states[:-1], path.states[1:]
    context = read(policy, path.context, y.shape[1])
    context = context if context is None else context.expand(process.steps, *context.shape)
    mean, std = kernel(process, policy, k, x, path.scores, context)
    log_forward = process.transition.log_prob(layout.moved(k, y), mean, std)
    log_backward = log_normal(layout.retraced(k, x), *process.backward(k, y))
    return _scored(process, path, log_forward, log_backward)


def paths_at_once(process: Process, dim: int) -> int:
    """How many paths of ``dim`` variables fit into 200 megabytes with all of their states."""
    return max(1, STATES_IN_MEMORY // ((process.steps + 1) * dim))


def _steps(path: States) -> Tensor:
    return torch.arange(len(path.states) - 1, device=path.states.device)


def _places(process: Process, path: States) -> Tensor:
    """Where each step asks for the score: ``(K, B, D)``."""
    return process.layout.visited(_steps(path), path.states[:-1])


def _scored(process: Process, path: States, log_forward: Tensor, log_backward: Tensor) -> ScoredPath:
    """The path with its kernels' densities and what an objective reads of its process."""
    k, x = _steps(path), path.states[:-1]
    return ScoredPath(
        **{field.name: getattr(path, field.name) for field in fields(States)},
        log_prior=process.log_boundary(path.states[0], path.states[-1]),
        log_forward=log_forward,
        log_backward=log_backward,
        times=process.times[:-1].to(x.dtype),
        features=process.features(k, x),
        marginal=partial(process.log_marginal, k, x),
    )


def __getattr__(name: str) -> Callable:
    return renamed_member(__name__, name, {"Path": ScoredPath, "score": log_probs})
