"""A path and its weight: the one number under every diffusion sampler. Read this file first.

    log w = log R(x_K) − log p₀(x_0) + Σ_k [ log P_B(x_k | x_{k+1}) − log P_F(x_{k+1} | x_k) ]

R is the unnormalized target, P_F the learned forward kernel, P_B the noising kernel. E[w] = Z exactly, for any kernels
and any number of steps, when the states come from P_F. Objectives read a ``Path``; behaviours decide where its states
come from: ``rollout`` simulates P_F, ``Process.bridge`` noises known ends, ``score`` evaluates both kernels on all
states in one batched call.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from amortized._types import Generator, Tensor
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.processes.transitions import log_normal
from amortized.targets.base import Target

STATES_IN_MEMORY = 50_000_000


@dataclass(frozen=True)
class Path:
    """B paths of K steps. ``states: (K+1, B, S)``; ``log_target = log R(x_K): (B,)`` float64.

    ``scores: (K, B, D)`` is ``∇ log R`` where each step asks for it, if the policy does; ``log_targets: (K, B)``
    float64 is ``log R`` at the same places, there whenever the scores are. ``context: (M, C)`` and ``numbers: (M,)``:
    those of the target, path i belonging to context ``i mod M``. ``log_prior: (B,)``, ``log_forward`` and
    ``log_backward: (K, B)``, ``times: (K,)``, ``features: (K, B, S)`` and ``log_marginal: (K, B)`` (the reference's
    density of the states before each step, computed when it is asked for, by ``marginal``) are there once it is scored.
    ``dim``: D where a state carries more than the target's variables, else ``None``.
    """

    states: Tensor
    log_target: Tensor
    scores: Tensor | None = None
    context: Tensor | None = None
    log_prior: Tensor | None = None
    log_forward: Tensor | None = None
    log_backward: Tensor | None = None
    log_targets: Tensor | None = None
    times: Tensor | None = None
    features: Tensor | None = None
    marginal: Callable[[], Tensor] | None = None
    dim: int | None = None
    numbers: Tensor | None = None

    @property
    def ends(self) -> Tensor:
        """The target's variables of ``x_K``: ``(B, D)``."""
        return self.states[-1][..., : self.dim]

    def by_context(self, values: Tensor) -> Tensor:
        """``(..., B)`` as ``(..., B / M, M)``: a column for each context, one column where there is none."""
        return values.unflatten(-1, (-1, 1 if self.context is None else len(self.context)))

    @property
    def log_marginal(self) -> Tensor | None:
        """Log density under the reference of the state before each step: ``(K, B)``; None until the path is scored."""
        return None if self.marginal is None else self.marginal()

    @property
    def log_proposal(self) -> Tensor:
        """``log p₀ + Σ (log P_F − log P_B): (B,)``: what stands in for the sampler's log density at ``x_K``."""
        if self.log_prior is None or self.log_forward is None or self.log_backward is None:
            raise ValueError("this path has states but no kernel densities; write path = score(process, policy, path)")
        return self.log_prior.double() + (self.log_forward.double() - self.log_backward.double()).sum(0)

    @property
    def log_weight(self) -> Tensor:
        """``log w: (B,)`` in nats, summed in float64."""
        return self.log_target.double() - self.log_proposal


def kernel(
    process: Process, policy: Policy, k: int | Tensor, x: Tensor, score: Tensor | None, context: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and deviation of ``P_F(x_{k+1} | x_k = x)``; k is a step, or one for each leading slice of x."""
    t = process.times[k].to(x.dtype)
    t = t.reshape(t.shape + (1,) * (x.ndim - t.ndim))
    belief = process.belief(k, x)
    langevin = process.langevin(process.visited(k, x), score, belief) if score is not None else None
    return process.forward(k, x, belief, policy(process.features(k, x), t, langevin, context))


def read(policy: Policy, context: Tensor | None, batch: int) -> Tensor | None:
    """What the policy makes of contexts ``(M, C)``, for each of ``batch`` paths: ``(B, E)``; each is read once."""
    if context is None:
        return None
    features = policy.read(context)
    return features.repeat(batch // len(context), 1)


def rollout(
    process: Process,
    policy: Policy,
    target: Target,
    batch: int,
    generator: Generator | None = None,
    inflation: float = 1.0,
    evaluate_ends: bool = True,
) -> Path:
    """Simulate P_F from the prior: a scored path, differentiable in the policy where gradients are enabled.

    ``inflation`` multiplies every forward deviation (exploration); the densities stay those of P_F itself, so that an
    inflated path has a log weight but is not a fair draw of it. The target's gradient enters at the ends; scores are
    constants. ``evaluate_ends=False`` leaves ``log_target`` at 0.
    """
    x = process.sample_prior(batch, target.dim, generator)
    states, scores, log_targets, log_forward, log_backward = [x], [], [], [], []
    context = read(policy, target.context, batch)
    for k in range(process.steps):
        if policy.needs_score:
            value, gradient = target.log_prob_and_score(process.visited(k, x).detach())
            log_targets.append(value.double())
            scores.append(gradient)
        mean, std = kernel(process, policy, k, x, scores[-1] if scores else None, context)
        drawn = process.transition.draw(mean, inflation * std, generator)
        log_forward.append(process.transition.log_prob(drawn, mean, std))
        y = process.advance(k, x, drawn)
        log_backward.append(log_normal(process.retraced(k, x), *process.backward(k, y)))
        x = y
        states.append(x)
    ends = x[..., : target.dim]
    return _described(
        process,
        Path(
            states=torch.stack(states),
            log_target=target.log_prob(ends).double() if evaluate_ends else x.new_zeros(batch, dtype=torch.float64),
            scores=torch.stack(scores) if scores else None,
            context=target.context,
            numbers=target.numbers,
            log_targets=torch.stack(log_targets) if scores else None,
            log_forward=torch.stack(log_forward),
            log_backward=torch.stack(log_backward),
            dim=target.dim,
        ),
    )


def reverse_rollout(
    process: Process,
    policy: Policy,
    target: Target,
    ends: Tensor,
    log_target: Tensor,
    generator: Generator | None = None,
) -> Path:
    """Noise known ends ``(B, D)`` back to the prior: states and scores, not yet the kernels' densities."""
    states = process.bridge(ends, generator)
    path = Path(states, log_target, context=target.context, numbers=target.numbers, dim=ends.shape[-1])
    return with_scores(process, target, path) if policy.needs_score else path


def with_scores(process: Process, target: Target, path: Path) -> Path:
    """The path with ``log R`` and its score wherever a step asks for them, in one batched call."""
    places = process.visited(torch.arange(process.steps, device=path.states.device), path.states[:-1])
    log_targets, scores = target.log_prob_and_score(places.reshape(-1, places.shape[-1]))
    shape = places.shape[:-1]
    return replace(
        path, scores=scores.reshape(places.shape).to(path.states.dtype), log_targets=log_targets.double().reshape(shape)
    )


def with_log_targets(process: Process, target: Target, path: Path) -> Path:
    """The path with ``log R`` wherever a step starts, in one batched call; the path itself if it has them."""
    if path.log_targets is not None:
        return path
    places = process.visited(torch.arange(process.steps, device=path.states.device), path.states[:-1])
    log_targets = target.log_prob(places.reshape(-1, places.shape[-1])).double()
    return replace(path, log_targets=log_targets.reshape(places.shape[:-1]))


def score(process: Process, policy: Policy, path: Path) -> Path:
    """Both kernels' densities on all K·B states of a path, in one call of the policy."""
    x, y = path.states[:-1], path.states[1:]
    k = torch.arange(process.steps, device=x.device)
    context = read(policy, path.context, y.shape[1])
    context = context if context is None else context.expand(process.steps, *context.shape)
    mean, std = kernel(process, policy, k, x, path.scores, context)
    scored = replace(
        path,
        log_forward=process.transition.log_prob(process.moved(k, y), mean, std),
        log_backward=log_normal(process.retraced(k, x), *process.backward(k, y)),
    )
    return _described(process, scored)


def paths_at_once(process: Process, dim: int) -> int:
    """How many paths of ``dim`` variables to hold in memory together: their states take up to 200 megabytes."""
    return max(1, STATES_IN_MEMORY // ((process.steps + 1) * dim))


def _described(process: Process, path: Path) -> Path:
    """The path with what an objective reads of its process: prior, times, features and the reference's marginals."""
    x, k = path.states[:-1], torch.arange(process.steps, device=path.states.device)
    return replace(
        path,
        log_prior=process.log_boundary(path.states[0], path.states[-1]),
        times=process.times[:-1].to(x.dtype),
        features=process.features(k, x),
        marginal=partial(process.log_marginal, k, x),
    )
