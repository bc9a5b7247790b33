"""How good a sampler is now, by on-policy paths and by backward paths from held-out draws."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from amortized._types import Generator, Tensor, by_context, whole_rounds
from amortized.path import log_probs, paths_at_once
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.simulation import reverse_rollout, rollout
from amortized.targets.base import Target
from amortized.weights import effective_sample_fraction, log_mean_exp

WORTH = 0.03
"""Overlap for which a grid of twice the steps is taken: three times the noise of an evaluation by 1,000 paths."""


@dataclass(frozen=True)
class Evaluation:
    """Figures of a sampler; ``overlap`` is the one that training is judged by.

        overlap = min(E_q[min(1, w/Z)], E_p[min(1, Z/w)])

    Both terms are one minus the total variation distance between the sampler's paths and the target's. The first does
    not see missing modes, the second does, and neither has a heavy tail.

    Args:
        elbo: mean log weight of on-policy paths, in nats.
        eubo: mean log weight of backward paths from held-out draws, in nats.
        log_evidence: log Ẑ of on-policy paths, in nats.
        ess_fraction: of on-policy paths, between 0 and 1.
        overlap: between 0 and 1.
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
    """Log weights ``(N,)`` of backward paths from ``draws``: ends ``(N, D)`` and their ``log R``."""
    chunk = whole_rounds(paths_at_once(process, target.dim), target.contexts)
    pieces = zip(draws[0].split(chunk), draws[1].split(chunk), strict=True)
    paths = (reverse_rollout(process, policy, target, *piece, generator) for piece in pieces)
    return torch.cat([log_probs(process, policy, path).log_weight for path in paths])


@torch.no_grad()
def evaluate(
    process: Process,
    policy: Policy,
    target: Target,
    held_out: tuple[Tensor, Tensor],
    count: int = 1_000,
    generator: Generator | None = None,
) -> Evaluation:
    """Evaluate on on-policy and on backward paths; every figure is a mean over the target's contexts.

    Args:
        process: the steps.
        policy: steers them.
        target: of D variables.
        held_out: draws ``(N, D)`` of the target that never train, and their ``log R``.
        count: on-policy paths.
        generator: of all draws.
    """
    forward = rollout(process, policy, target, count, generator).log_weight
    backward = reverse_log_weights(process, policy, target, held_out, generator)
    return evaluation_of(forward, backward, target.contexts)


def evaluation_of(forward: Tensor, backward: Tensor, contexts: int = 1) -> Evaluation:
    """The figures of log weights of on-policy paths ``(N,)``, and of backward paths ``(M,)``, in nats."""
    forward, backward = (by_context(log_w, contexts) for log_w in (forward, backward))
    log_partition = log_mean_exp(forward.mT)
    sides = ((1, forward), (-1, backward))
    return Evaluation(
        elbo=float(forward.mean()),
        eubo=float(backward.mean()),
        log_evidence=float(log_partition.mean()),
        ess_fraction=sum(map(effective_sample_fraction, forward.mT)) / contexts,
        overlap=min(_overlap(sign * (log_w - log_partition)) for sign, log_w in sides),
    )


def _overlap(log_ratio: Tensor) -> float:
    """``mean min(1, ratio)``; 0 if the evidence in the ratio is zero or not a number."""
    value = float(log_ratio.clamp(max=0.0).exp().mean())
    return value if math.isfinite(value) else 0.0


def evaluation_size(target: Target) -> int:
    """On-policy paths of an evaluation: about 1,000, and at least 16 for every context."""
    return whole_rounds(max(1_000, 16 * target.contexts), target.contexts)


def refined(
    process: Process,
    policy: Policy,
    target: Target,
    held_out: tuple[Tensor, Tensor],
    factors: tuple[float, ...],
    generator: Generator | None = None,
    seconds: float = math.inf,
) -> Process:
    """The process with the fewest of its steps times ``factors`` whose overlap is within 0.03 of the best.

    A finer grid is left out if its judgement would end after ``seconds``, by the time of the coarser ones.
    """
    overlaps: dict[Process, float] = {}
    began = time.perf_counter()
    for factor in sorted(factors):
        choice = resized(process, factor)
        a_step = (time.perf_counter() - began) / max(1, sum(judged.steps for judged in overlaps))
        if overlaps and time.perf_counter() - began + choice.steps * a_step > seconds:
            break
        overlaps[choice] = evaluate(choice, policy, target, held_out, evaluation_size(target), generator).overlap
    return next(choice for choice, overlap in overlaps.items() if overlap >= max(overlaps.values()) - WORTH)


def resized(process: Process, factor: float) -> Process:
    """The process with ``factor`` times its steps, rounded, and at least 1."""
    steps = max(1, round(factor * process.steps))
    return process if steps == process.steps else process.with_steps(steps)
