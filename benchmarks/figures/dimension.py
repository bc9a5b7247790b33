"""Cost a step, and error at equal seconds, on Manywell of 8 to 512 dimensions (claim 11)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from amortized.benchmark.methods import method_named
from figures.drawing import chosen, curves, legend, panels, value
from figures.runs import Result, Run

DIMENSIONS = [8, 32, 128, 512]
METHODS = ["pis-lp", "tb-lp", "tb-expl-lp-ls", "guide"]


def runs(seconds: float, seeds: int) -> list[Run]:
    return [
        Run(
            f"models/many_well.py:{dimension}",
            method_named(name),
            {"method": name, "dimension": dimension},
            seconds,
            seed,
        )
        for seed in range(seeds)
        for dimension in DIMENSIONS
        for name in METHODS
    ]


def draw(results: Sequence[Result]) -> Figure:
    """The guide's warm-up divided by its few steps would be no time a step: its seconds are told instead."""
    figure, axes = panels(1, 4, "Manywell by dimension", 3.3)
    for panel, metric in zip(axes, ("milliseconds", "delta", "gap", "recall"), strict=True):
        shown = results if metric != "milliseconds" else [one for one in results if value(one, "method") != "guide"]
        curves(panel, shown, "dimension", "method", metric, "dimension")
    guides = sorted(chosen(results, method="guide", seed=0), key=lambda one: value(one, "dimension"))
    seconds = ", ".join(f"{one['training']['seconds']:.0f}" for one in guides)
    budget = results[0]["identity"]["seconds"]
    legend(figure, axes[1], f"seconds of training: {budget:g}; of the guide, which overruns them: {seconds}")
    return figure
