"""What needs no training: the warm-up, whitened coordinates, and a fresh sampler that starts from the mixture."""

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
"""Looks at whether the density is, at a warm-up's draws, what it was taken for: captured, vmap and loop are three."""

MakeSampler = Callable[[int, Reference], DiffusionSampler]


@dataclass(frozen=True)
class Prepared:
    """The warm-up and what follows from it: the whitened target, the warm-up's draws there in random order ``ends``
    ``(N, D)`` with their log R ``log_ends`` ``(N,)``, an untrained sampler, and whether the density is ``dear``."""

    warm: WarmUp
    white: WhitenedTarget
    sampler: DiffusionSampler
    ends: Tensor
    log_ends: Tensor
    dear: bool


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
    """Warm up on ``target``, whiten it, and build a sampler: ``make_sampler(dim, reference)``, else the ``preset``.

    The preset sees the density's gradient as ``langevin`` says or, where that is None, unless the density was measured
    to be dear: over 50 microseconds a particle. ``seed`` fixes the network's first weights.
    ``max_calls``, ``max_seconds``: the warm-up's limits, which it looks at between its stages. ``components``: so many
    Gaussians are drawn to the target by natural gradients, up to 1.5 times ``max_seconds`` after the start.
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
    dear = is_expensive(target, warm.draws)
    make = make_sampler or partial(preset, langevin=not dear if langevin is None else langevin)
    with own_randomness(target.device, seed):
        sampler = make(target.dim, reference).to(target.device)
    order = torch.randperm(len(warm.draws), generator=generator, device=target.device)
    log_ends = warm.log_prob[order].double() + white.log_det
    return Prepared(warm, white, sampler, white.whiten(warm.draws[order]), log_ends, dear)
