"""Before training: the warm-up, whitened coordinates, and an untrained sampler that starts from the mixture."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from amortized._torch import own_randomness
from amortized._types import Generator, Tensor
from amortized.processes.reference import Reference
from amortized.samplers import DiffusionSampler, GFlowNet
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Target
from amortized.targets.cost import is_expensive
from amortized.warmup import WarmUp, warm_up
from amortized.warmup.sharpen import sharpened

RECHECKS = 3
"""Warm-ups at the most before the last: at each one's draws the density may turn out wrong as captured, by vmap or by
loop, and there are these three."""

MakeSampler = Callable[[int, Reference], DiffusionSampler]


@dataclass(frozen=True)
class Prepared:
    """The warm-up and what follows from it.

    Args:
        warm: the warm-up's result.
        white: the whitened target.
        sampler: untrained.
        ends: the warm-up's draws ``(N, D)`` in white coordinates, in random order.
        log_ends: their log R ``(N,)``.
        expensive: a particle's density takes over 50 microseconds.
    """

    warm: WarmUp
    white: WhitenedTarget
    sampler: DiffusionSampler
    ends: Tensor
    log_ends: Tensor
    expensive: bool


def prepare(
    target: Target,
    make_sampler: MakeSampler | None,
    langevin: bool | None,
    generator: Generator,
    seed: int,
    max_seconds: float,
    progress: bool = False,
    preset: Callable[..., DiffusionSampler] = GFlowNet,
    max_calls: int = 300_000,
    components: int | None = None,
) -> Prepared:
    """Warm up on a target, whiten it, and build an untrained sampler.

    Args:
        target: of D variables.
        make_sampler: ``(dim, reference)`` to a sampler; None builds the ``preset``.
        langevin: whether the preset sees the density's gradient; None: unless the density is expensive.
        generator: of all draws.
        seed: fixes the network's first weights.
        max_seconds: of the warm-up, which looks at its clock between stages.
        progress: shows the stages.
        preset: takes ``(dim, reference, langevin=)``.
        max_calls: of the target in the warm-up.
        components: so many Gaussians are fitted to the target by natural gradients, until 1.5 ``max_seconds`` after the
            start; None fits none.
    """
    began = time.perf_counter()

    def warmed() -> WarmUp:
        left = max(max_seconds - (time.perf_counter() - began), 0.3 * max_seconds)
        return warm_up(target, generator=generator, max_calls=max_calls, max_seconds=left, progress=progress)

    warm = warmed()
    for _ in range(RECHECKS):
        if target.recheck(warm.draws):
            break
        warm = warmed()
    if components is not None:
        seconds = max(1.0, 1.5 * max_seconds - (time.perf_counter() - began))
        warm = sharpened(warm, target, components, seconds, generator)
    white = WhitenedTarget(target, warm.shift, warm.scale_tril)
    reference = warm.reference()
    expensive = is_expensive(target, warm.draws)
    make = make_sampler or partial(preset, langevin=not expensive if langevin is None else langevin)
    with own_randomness(target.device, seed):
        sampler = make(target.dim, reference).to(target.device)
    order = torch.randperm(len(warm.draws), generator=generator, device=target.device)
    log_ends = warm.log_prob[order].double() + white.log_det
    return Prepared(warm, white, sampler, white.whiten(warm.draws[order]), log_ends, expensive)
