"""Two coordinates of Manywell-32 under different training: which wells keep their draws (claim 1)."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from amortized.benchmark.methods import method_named
from amortized.plots import BLUE, GREY
from figures.drawing import chosen, panels, value
from figures.runs import Result, Run

METHODS = ["pis", "tb-expl", "tb-expl-ls", "tb-expl-lp-ls", "guide"]
LEFT_WELL = 0.1557
LEVELS = [-8.0, -5.0, -3.0, -1.5, -0.5]  # nats below the highest point


def runs(seconds: float, seeds: int) -> list[Run]:
    return [
        Run("models/many_well.py:32", method_named(name), {"method": name}, seconds, seed, keep=(0, 2))
        for seed in range(seeds)
        for name in METHODS
    ]


def log_well(x: np.ndarray) -> np.ndarray:
    """Log density of a block's first coordinate, up to a constant."""
    return -(x**4) + 6 * x**2 + 0.5 * x


def draw(results: Sequence[Result]) -> Figure:
    """Draws of seed 0 over the contours of the exact density; the figures are means over the seeds."""
    figure, axes = panels(1, len(METHODS), "Manywell-32: draws of two coordinates over the exact density", 2.6, 3.0)
    line = np.linspace(-2.9, 2.9, 200)
    exact = log_well(line)[:, None] + log_well(line)[None, :]
    for panel, name in zip(axes, METHODS, strict=True):
        mine = chosen(results, method=name)
        panel.scatter(*mine[0]["draws"], s=4, color=BLUE, alpha=0.35, linewidths=0)
        panel.contour(line, line, exact - exact.max(), LEVELS, colors=GREY, linewidths=0.8, linestyles="solid")
        left, delta, rw = (
            statistics.fmean(value(result, metric) for result in mine) for metric in ("first_mode_share", "delta", "rw")
        )
        panel.set_title(f"{name}\nΔ {delta:.2f}, RW {rw:.2f}\nleft wells {left:.1%}", fontsize=9)
        panel.set_aspect("equal")
        panel.set_xlim(-2.9, 2.9)
        panel.set_ylim(-2.9, 2.9)
        panel.set_xlabel("$x_1$")
    axes[0].set_ylabel("$x_3$")
    figure.supxlabel(f"the truth: Δ 0, RW 0, left wells {LEFT_WELL:.1%}, the mean over the 16 blocks", fontsize=9)
    return figure
