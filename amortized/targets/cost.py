"""What one evaluation of a density costs on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from amortized._types import Tensor
from amortized.targets.base import Target

EXPENSIVE = 5e-5
"""Seconds a particle, chosen: 1,000 paths of 20 steps then take one second of gradients."""
Result = TypeVar("Result")


def seconds_a_particle(target: Target, x: Tensor, particles: int = 128, trials: int = 3) -> float:
    """Processor seconds for one particle's log density and score: the minimum over ``trials`` batches.

    Args:
        target: The density; its calls are counted.
        x: ``(N, D)``, the points to evaluate.
        particles: Size of a batch, at most N; 128 spreads the cost of a call as a sampler does.
        trials: Number of batches; the minimum of three leaves out the first call, which is slower.

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
    """The result of ``work()`` and the seconds it took: the smaller of processor time and wall-clock time.

    Processor time leaves out other jobs on a busy machine; wall-clock time counts parallel threads once.
    """
    wall, processor = time.perf_counter(), time.process_time()
    result = work()
    return result, min(time.perf_counter() - wall, time.process_time() - processor)


def is_expensive(target: Target, x: Tensor) -> bool:
    """Whether a gradient costs over 50 microseconds a particle, too much for one at every step of a path."""
    return seconds_a_particle(target, x) > EXPENSIVE
