"""What one evaluation of a density costs here."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from amortized._types import Tensor
from amortized.targets.base import Target

DEAR = 5e-5
Result = TypeVar("Result")


def seconds_a_particle(target: Target, x: Tensor, particles: int = 128, trials: int = 3) -> float:
    """Processor seconds of one log density with its score, the least of ``trials`` batches from ``x: (N, D)``.

    >>> import torch
    >>> from amortized.targets.callable import DensityTarget
    >>> 0 <= seconds_a_particle(DensityTarget(lambda x: -x.square().sum(-1), dim=1), torch.zeros(8, 1)) < 0.1
    True
    """
    times = []
    for _ in range(trials):
        began = time.process_time()
        target.log_prob_and_score(x[:particles])
        times.append(time.process_time() - began)
    return min(times) / min(particles, len(x))


def timed(work: Callable[[], Result]) -> tuple[Result, float]:
    """What ``work()`` gives and the seconds it took, of the processor or the wall clock, whichever says less.

    A busy machine does not count, nor do threads side by side.
    """
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, min(time.perf_counter() - wall, time.process_time() - processor)


def is_dear(target: Target, x: Tensor) -> bool:
    """Whether a gradient costs over 50 microseconds a particle, too much to ask for one at every step of a path."""
    return seconds_a_particle(target, x) > DEAR
