"""How many chains adapt together: windows, step sizes, and the choice between two metrics."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc import hmc
from amortized.mcmc.metric import Metric, covariance_metric, geometric_metric
from amortized.mcmc.state import Info, LogDensityAndScore, State, adapted

WINDOWS = (40, 60, 80, 120)
"""Moves of the windows of the warm-up at the most."""

TRIAL = 16
"""Moves in which a metric finds its step size; the jumps of the second half compare the metrics."""

MOST_STEPS = 16
"""Leapfrog steps of a trajectory at the most."""

FIRST_STEP_SIZE, STEP_SIZE_AFTER_METRIC = 0.1, 0.3
"""Where adaptation starts: before the scale is known, and in coordinates that a metric has made round."""

ROWS = 8192
"""Draws from which a metric is made, at the most."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """One move of HMC with jittered step sizes, a quarter of a period long.

    Args:
        metric: whose factor makes the target round.
        step_size: a scalar, or one for each chain, ``(C,)``; float64.
    """

    metric: Metric
    step_size: Tensor

    @property
    def num_steps(self) -> int:
        """Leapfrog steps of a move."""
        return hmc.quarter_period(float(self.step_size.median()), MOST_STEPS)

    def move(self, density: LogDensityAndScore, state: State, generator: Generator | None) -> tuple[State, Info]:
        """One move of every chain."""
        jittered = self.step_size * hmc.jitter(state.log_prob, generator)
        return hmc.step(density, state, jittered, self.metric.factor, self.num_steps, generator)


class Moved(NamedTuple):
    """Chains after some moves: the kernel with its adapted step size, the last state, and all states."""

    kernel: Kernel
    state: State
    states: list[State]


def adapting(
    density: LogDensityAndScore,
    state: State,
    kernel: Kernel,
    moves: int,
    generator: Generator | None,
    stop: Callable[[], bool],
) -> Moved:
    """At most ``moves`` moves that adapt the step size; ``stop()`` is asked after each."""
    states = []
    for move in range(moves):
        state, info = kernel.move(density, state, generator)
        kernel = Kernel(
            kernel.metric, adapted(kernel.step_size, info.acceptance_rate, move, hmc.TARGET_ACCEPTANCE_RATE)
        )
        states.append(state)
        if stop():
            break
    return Moved(kernel, state, states)


def windows(
    density: LogDensityAndScore,
    state: State,
    kernel: Kernel,
    generator: Generator | None,
    spent: Callable[[], float],
    share: float,
) -> tuple[Moved, int]:
    """Windows of moves, with a new metric after each but the last; and how many moves were made.

    ``share`` of the budget is theirs at the most; ``spent()`` says what part is spent.
    """
    moves, moved = 0, Moved(kernel, state, [])
    for place, length in enumerate(WINDOWS):
        now = spent()
        end = now + max(share - now, 0.0) * length / sum(WINDOWS[place:])
        moved = adapting(density, moved.state, moved.kernel, length, generator, lambda end=end: spent() > end)
        moves += len(moved.states)
        shared = Kernel(moved.kernel.metric, moved.kernel.step_size.median())
        moved = Moved(shared, moved.state, moved.states)
        if place < len(WINDOWS) - 1 and spent() < share:
            # from 2 D rows on the geometric mean is exact for Gaussians, whatever the draws are
            enough = math.ceil(2 * state.x.shape[1] / state.x.shape[0])
            recent = moved.states[-max(len(moved.states) // 2, enough) :]
            moved = better_metric(density, moved.state, recent, generator, lambda: spent() >= 1.0)
            moves += len(moved.states)
    return moved, moves


def better_metric(
    density: LogDensityAndScore,
    state: State,
    recent: list[State],
    generator: Generator | None,
    stop: Callable[[], bool],
) -> Moved:
    """Of two metrics made from recent states that one with which the slowest coordinate moves faster.

    Both are tried from the same state for a few moves. The squared jump of a coordinate over twice its variance is one
    less its autocorrelation. The smallest over coordinates is compared, for each leapfrog step. Step sizes alone cannot
    be compared: they depend on the scale of the metric.
    """
    x, score = (torch.cat([getattr(each, name) for each in recent]).double() for name in ("x", "score"))
    every = math.ceil(len(x) / ROWS)
    x, score = x[::every], score[::every]
    tried = []
    for metric in (covariance_metric(x), geometric_metric(x, score)):
        first = torch.tensor(STEP_SIZE_AFTER_METRIC, dtype=torch.float64, device=x.device)
        moved = adapting(density, state, Kernel(metric, first), TRIAL, generator, stop)
        tried.append((_speed(moved, x.var(0)), moved))
    return max(tried, key=lambda each: each[0])[1]


def _speed(moved: Moved, variance: Tensor) -> float:
    path = torch.stack([each.x for each in moved.states[len(moved.states) // 2 :]])
    if len(path) < 2:
        return 0.0
    jumps = path.diff(dim=0).square().mean((0, 1)) / (2 * variance.clamp(min=torch.finfo(torch.float64).tiny))
    return float(jumps.min()) / moved.kernel.num_steps
