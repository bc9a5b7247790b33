"""What one evaluation of a density costs on this machine."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from amortized._types import Tensor
from amortized.targets.base import Target

EXPENSIVE = 5e-5
"""Seconds a particle, chosen: 1,000 paths of 20 steps then take one second of gradients."""
FULL_PLAN = 60_000
"""Calls that a warm-up with tempered runs takes at the least on targets of known truth. A clock that allows fewer asks
for the short plan: few climbs, and importance weights of the Gaussians where they end."""
SIZES = 8, 8, 24, 128, 128, 128
"""Particles of the timed batches: few while a call may be slow, and 128 spread its cost as a sampler does. The first
call of a size is slower, and another job may hold the processor: the fastest counts."""
BRIEF = 0.6
"""Seconds that no timed batch should take: a density of 5 ms is timed at 40 particles in all."""
Result = TypeVar("Result")


def pace(evaluate: Callable[[Tensor], object], x: Tensor, sizes: Sequence[int] = SIZES, brief: float = BRIEF) -> float:
    """Wall-clock seconds a particle: the minimum over batches of growing size.

    Wall clock counts, not processor time: a density may wait for a simulator, and a fit must return in time.

    Args:
        evaluate: takes a batch.
        x: ``(N, D)``, the points to evaluate; a batch has N of them at the most.
        sizes: of the batches.
        brief: seconds; a batch that would take longer, by the pace so far, ends the timing.
    """
    fastest = math.inf
    for number, size in enumerate(sizes):
        batch = x[:size]
        if number > 1 and len(batch) * fastest > brief:
            break
        began = time.perf_counter()
        evaluate(batch)
        fastest = min(fastest, (time.perf_counter() - began) / len(batch))
    return fastest


def seconds_a_particle(target: Target, x: Tensor) -> float:
    """Wall-clock seconds for one particle's log density and score, at points ``x: (N, D)``; the calls are counted.

    >>> import torch
    >>> from amortized.targets.callable import DensityTarget
    >>> 0 <= seconds_a_particle(DensityTarget(lambda x: -x.square().sum(-1), dim=1), torch.zeros(8, 1)) < 0.1
    True
    """
    return pace(target.log_prob_and_score, x)


def calls_within(target: Target, x: Tensor, seconds: float) -> float:
    """How many calls of a density fit into ``seconds`` of wall clock, by its pace at ``x: (N, D)``.

    >>> import torch
    >>> from amortized.targets.callable import DensityTarget
    >>> calls_within(DensityTarget(lambda x: -x.square().sum(-1), dim=1), torch.zeros(8, 1), 60.0) > FULL_PLAN
    True
    """
    return seconds / max(seconds_a_particle(target, x), 1e-9)


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """The result of ``work()`` and the seconds of wall clock that it took; waiting for a simulator is among them."""
    began = time.perf_counter()
    result = work()
    return result, time.perf_counter() - began


def is_expensive(target: Target, x: Tensor) -> bool:
    """Whether a gradient costs over 50 microseconds a particle, too much for one at every step of a path."""
    return seconds_a_particle(target, x) > EXPENSIVE


def quicken(target: Target, x: Tensor, calls: int, seconds: float) -> bool:
    """Compiles the density if that is repaid by ``calls`` at its pace at ``x: (N, D)``, in ``seconds`` at the most."""
    return target.quicken(min(seconds, calls * seconds_a_particle(target, x)))
