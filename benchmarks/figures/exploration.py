"""Exploration that is constant, that decays, or none, on 25GMM by trajectory balance (claim 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from amortized.benchmark.methods import BASES
from figures.drawing import curves, legend, panels
from figures.runs import Result, Run

TB = BASES["tb"]
EXPLORATIONS = {
    "none": TB,
    "constant": replace(TB, exploration=0.2, fading=False),
    "decaying": replace(TB, exploration=0.2),
    "constant, wide": replace(TB, exploration=1.0, fading=False),
    "decaying, wide": replace(TB, exploration=1.0),
}


def runs(seconds: float, seeds: int) -> list[Run]:
    """Every budget is a run of its own, within which the learning rate falls and the exploration decays."""
    return [
        Run("models/gaussian_mixture_25.py", method, {"exploration": name}, seconds / part, seed)
        for seed in range(seeds)
        for part in (3, 1)
        for name, method in EXPLORATIONS.items()
    ]


def draw(results: Sequence[Result]) -> Figure:
    figure, axes = panels(1, 3, "25GMM, trajectory balance: exploration constant against decaying")
    for panel, metric in zip(axes, ("delta", "rw", "recall"), strict=True):
        curves(panel, results, "seconds", "exploration", metric, "seconds of training")
    legend(figure, axes[0], "exploration: deviations inflated by 0.2, or wide, by 1")
    return figure
