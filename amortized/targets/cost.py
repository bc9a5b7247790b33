"""What one evaluation of a density costs on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from amortized._types import Tensor
from amortized.targets.base import Target

EXPENSIVE = 5e-5
"""Seconds a particle, chosen: 1,000 paths of 20 steps then take one second of gradients."""
FULL_PLAN = 60_000
"""Calls that a warm-up with tempered runs takes at the least on targets of known truth. A clock that allows fewer asks
for the short plan: few climbs, and importance weights of the Gaussians where they end."""
TRIED = 8
"""Particles of a timed call: of a density that takes 10 ms, two calls of eight take 0.16 s."""
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


def calls_within(target: Target, x: Tensor, seconds: float) -> float:
    """How many calls of a density fit into ``seconds`` of wall clock, by the faster of two calls at ``x: (N, D)``.

    Wall clock counts here, not processor time: a density may wait for a simulator, and a fit must return in time.

    >>> import torch
    >>> from amortized.targets.callable import DensityTarget
    >>> calls_within(DensityTarget(lambda x: -x.square().sum(-1), dim=1), torch.zeros(8, 1), 60.0) > FULL_PLAN
    True
    """
    x, paces = x[:TRIED], []
    for _ in range(2):
        began = time.perf_counter()
        target.log_prob_and_score(x)
        paces.append((time.perf_counter() - began) / len(x))
    return seconds / max(min(paces), 1e-9)


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
