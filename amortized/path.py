"""A path and its weight: the one number under every diffusion sampler. Read this file first.

    log w = log R(x_K) − log p₀(x_0) + Σ_k [ log P_B(x_k | x_{k+1}) − log P_F(x_{k+1} | x_k) ]

R is the unnormalized target, P_F the learned forward kernel, P_B the noising kernel. E[w] = Z exactly, for any kernels
and any number of steps, when the states come from P_F. Objectives read a ``Path``; behaviours decide where its states
come from: ``rollout`` simulates P_F, ``Process.bridge`` noises known ends, ``score`` evaluates both kernels on all
states in one batched call.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from amortized._types import Generator, Tensor
from amortized.policies.base import Policy
from amortized.processes.base import Process, log_normal
from amortized.targets.base import Target


@dataclass(frozen=True)
class Path:
    """B paths of K steps. ``states: (K+1, B, D)``; ``log_target = log R(x_K): (B,)`` float64.

    ``scores: (K, B, D)`` is ``∇ log R`` at the states before each step, where the policy needs it.
    ``log_prior: (B,)``, ``log_forward`` and ``log_backward: (K, B)`` are there once the path is scored.
    """

    states: Tensor
    log_target: Tensor
    scores: Tensor | None = None
    context: Tensor | None = None
    log_prior: Tensor | None = None
    log_forward: Tensor | None = None
    log_backward: Tensor | None = None

    @property
    def ends(self) -> Tensor:
        """``x_K: (B, D)``."""
        return self.states[-1]

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
    langevin = process.langevin(x, score, belief) if score is not None else None
    return process.forward(k, x, belief, policy(process.features(k, x), t, langevin, context))


def rollout(
    process: Process,
    policy: Policy,
    target: Target,
    batch: int,
    generator: Generator | None = None,
    inflation: float = 1.0,
    context: Tensor | None = None,
    evaluate_ends: bool = True,
) -> Path:
    """Simulate P_F from the prior: a scored path, differentiable in the policy where gradients are enabled.

    ``inflation`` multiplies every forward deviation (exploration); the densities stay those of P_F itself, so that an
    inflated path has a log weight but is not a fair draw of it. The target's gradient enters at the ends; scores are
    constants. ``evaluate_ends=False`` leaves ``log_target`` at 0.
    """
    x = process.sample_prior(batch, target.dim, generator)
    states, scores, log_forward, log_backward = [x], [], [], []
    for k in range(process.steps):
        if policy.needs_score:
            scores.append(target.log_prob_and_score(x.detach())[1])
        mean, std = kernel(process, policy, k, x, scores[-1] if scores else None, context)
        noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        y = mean + inflation * std * noise
        log_forward.append(log_normal(y, mean, std))
        log_backward.append(log_normal(x, *process.backward(k, y)))
        x = y
        states.append(x)
    return Path(
        states=torch.stack(states),
        log_target=_log_target(target, x) if evaluate_ends else x.new_zeros(batch, dtype=torch.float64),
        scores=torch.stack(scores) if scores else None,
        context=context,
        log_prior=process.log_prior(states[0]),
        log_forward=torch.stack(log_forward),
        log_backward=torch.stack(log_backward),
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
    scores = None
    if policy.needs_score:
        visited = states[:-1].reshape(-1, states.shape[-1])
        scores = target.log_prob_and_score(visited)[1].reshape(states[:-1].shape).to(states.dtype)
    return Path(states=states, log_target=log_target, scores=scores)


def score(process: Process, policy: Policy, path: Path) -> Path:
    """Both kernels' densities on all K·B states of a path, in one call of the policy."""
    x, y = path.states[:-1], path.states[1:]
    k = torch.arange(process.steps, device=x.device)
    context = path.context if path.context is None else path.context.expand(process.steps, *path.context.shape)
    mean, std = kernel(process, policy, k, x, path.scores, context)
    return replace(
        path,
        log_prior=process.log_prior(path.states[0]),
        log_forward=log_normal(y, mean, std),
        log_backward=log_normal(x, *process.backward(k, y)),
    )


def _log_target(target: Target, x: Tensor) -> Tensor:
    if not x.requires_grad:
        return target.log_prob(x).double()
    value, gradient = target.log_prob_and_score(x.detach())
    return value.double() + (gradient * (x - x.detach())).sum(-1)
