"""How good a sampler is right now: fresh paths on one side, paths noised back from held-out draws on the other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from amortized._types import Generator, Tensor, by_context, whole_rounds
from amortized.path import log_probs, paths_at_once, reverse_rollout, rollout
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.targets.base import Target
from amortized.weights import effective_sample_fraction, log_mean_exp


@dataclass(frozen=True)
class Evaluation:
    """Bounds and log Z in nats, the rest between 0 and 1; ``overlap`` is the figure that training is judged by.

    ``elbo``, ``log_evidence`` and ``ess_fraction`` come from fresh paths, ``eubo`` from paths noised back from held-out
    draws. ``overlap = min(E_q[min(1, w/Z)], E_p[min(1, Z/w)])``: both are one minus the total variation distance of the
    sampler's paths from the target's; the first misses lost modes, the second shows them, and neither has a tail.
    """

    elbo: float
    eubo: float
    log_evidence: float
    ess_fraction: float
    overlap: float


@torch.no_grad()
def reverse_log_weights(
    process: Process,
    policy: Policy,
    target: Target,
    draws: tuple[Tensor, Tensor],
    generator: Generator | None = None,
) -> Tensor:
    """Log weights ``(N,)`` of paths noised back from ``draws``: ends ``(N, D)`` and their ``log R``."""
    chunk = whole_rounds(paths_at_once(process, target.dim), target.contexts)
    pieces = zip(draws[0].split(chunk), draws[1].split(chunk), strict=True)
    noised = (reverse_rollout(process, policy, target, *piece, generator) for piece in pieces)
    return torch.cat([log_probs(process, policy, path).log_weight for path in noised])


@torch.no_grad()
def evaluate(
    process: Process,
    policy: Policy,
    target: Target,
    held_out: tuple[Tensor, Tensor],
    count: int = 1_000,
    generator: Generator | None = None,
) -> Evaluation:
    """Evaluate on ``count`` fresh paths and on ``held_out``: draws ``(N, D)`` of the target and their ``log R``.

    Of a target with several contexts, every figure is the mean over them of the figure for each.
    """
    forward = rollout(process, policy, target, count, generator).log_weight
    backward = reverse_log_weights(process, policy, target, held_out, generator)
    forward, backward = (by_context(log_w, target.contexts) for log_w in (forward, backward))
    log_partition = log_mean_exp(forward.mT)
    sides = ((1, forward), (-1, backward))
    return Evaluation(
        elbo=float(forward.mean()),
        eubo=float(backward.mean()),
        log_evidence=float(log_partition.mean()),
        ess_fraction=sum(map(effective_sample_fraction, forward.mT)) / target.contexts,
        overlap=min(_overlap(sign * (log_w - log_partition)) for sign, log_w in sides),
    )


def _overlap(log_ratio: Tensor) -> float:
    """``mean min(1, ratio)``; 0 where the evidence it is relative to is zero or not a number."""
    value = float(log_ratio.clamp(max=0.0).exp().mean())
    return value if math.isfinite(value) else 0.0
