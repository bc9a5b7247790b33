"""Cost a step, and error at equal seconds, on Manywell of 8 to 512 dimensions (claim 11)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from amortized.benchmark.methods import method
from figures.drawing import curves, legend, panels
from figures.runs import Result, Run

DIMENSIONS = [8, 32, 128, 512]
METHODS = ["pis-lp", "tb-lp", "tb-expl-lp-ls", "guide"]


def runs(seconds: float, seeds: int) -> list[Run]:
    return [
        Run(f"models/many_well.py:{dimension}", method(name), {"method": name, "dimension": dimension}, seconds, seed)
        for seed in range(seeds)
        for dimension in DIMENSIONS
        for name in METHODS
    ]


def draw(results: Sequence[Result]) -> Figure:
    figure, axes = panels(1, 4, "Manywell by dimension, at equal seconds of training", 3.3)
    for panel, metric in zip(axes, ("milliseconds", "delta", "gap", "recall"), strict=True):
        curves(panel, results, "dimension", "method", metric, "dimension")
    legend(figure, axes[0], "time a step of guide: warm-up and evaluations counted in")
    return figure
