"""Before training: the warm-up, whitened coordinates, and an untrained sampler that starts from the mixture."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from amortized._torch import own_randomness
from amortized._types import Generator, Tensor
from amortized.samplers import DiffusionSampler
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Target
from amortized.targets.cost import EXPENSIVE, FULL_PLAN, seconds_a_particle
from amortized.warmup import WarmUp, warm_up
from amortized.warmup.sharpen import sharpened

RECHECKS = 3
"""Warm-ups at the most before the last: at each one's draws the density may turn out wrong as captured, by vmap or by
loop, and there are these three."""

Maker = Callable[[bool], Callable[..., DiffusionSampler]]
"""From whether a density is expensive to what makes a sampler of ``(dim, reference)``."""


@dataclass(frozen=True)
class Prepared:
    """The warm-up and what follows from it.

    Args:
        warm: the warm-up's result.
        white: the whitened target.
        sampler: untrained.
        ends: the warm-up's draws ``(N, D)`` in white coordinates, in random order.
        log_ends: their log R ``(N,)``.
        seconds_a_call: what a particle's density and score take.
    """

    warm: WarmUp
    white: WhitenedTarget
    sampler: DiffusionSampler
    ends: Tensor
    log_ends: Tensor
    seconds_a_call: float

    @property
    def expensive(self) -> bool:
        """Whether a particle's density takes over 50 microseconds."""
        return self.seconds_a_call > EXPENSIVE

    def is_slow(self, seconds: float) -> bool:
        """Whether fewer calls fit into ``seconds`` than a training on paths takes."""
        return seconds < FULL_PLAN * self.seconds_a_call


def warm_up_checked(
    target: Target,
    generator: Generator,
    max_seconds: float,
    max_calls: int = 300_000,
    components: int | None = None,
    progress: bool = False,
) -> WarmUp:
    """Warm up on a target whose density is compared with its plain definition at the warm-up's draws.

    Args:
        target: of D variables. A target that was mended is warmed up again.
        generator: of all draws.
        max_seconds: of the warm-up, which looks at its clock between stages.
        max_calls: of the target in one warm-up.
        components: so many Gaussians are fitted to the target by natural gradients, until 1.5 ``max_seconds`` after the
            start; None fits none.
        progress: shows the stages.
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
    return warm


def prepare(
    target: Target, warm: WarmUp, maker: Maker, generator: Generator, seed: int, reference: str = "mixture"
) -> Prepared:
    """Whiten a target by its warm-up, and build an untrained sampler.

    Args:
        target: of D variables.
        warm: its warm-up.
        maker: ``maker(expensive)(dim, start)`` builds the sampler. A density is expensive if it costs over 50
            microseconds a particle.
        generator: puts the draws in random order.
        seed: fixes the network's first weights.
        reference: ``mixture`` starts the sampler from the warm-up's mixture or product, ``normal`` from N(0, I).
    """
    white = WhitenedTarget(target, warm.shift, warm.scale_tril)
    seconds_a_call = seconds_a_particle(target, warm.draws)
    sampler = untrained_sampler(target, warm, maker(seconds_a_call > EXPENSIVE), seed, reference)
    order = torch.randperm(len(warm.draws), generator=generator, device=target.device)
    log_ends = warm.log_prob[order].double() + white.log_det
    return Prepared(warm, white, sampler, white.whiten(warm.draws[order]), log_ends, seconds_a_call)


def untrained_sampler(
    target: Target, warm: WarmUp, make: Callable[..., DiffusionSampler], seed: int, reference: str
) -> DiffusionSampler:
    """``make(dim, start)``, where the start is what ``reference`` says; the seed fixes the network's first weights."""
    start = warm.reference() if reference == "mixture" else None
    with own_randomness(target.device, seed):
        return make(target.dim, start).to(target.device)
