"""How much a replay buffer holds, and how many wells of Manywell-32 the sampler recalls (claim 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from matplotlib.figure import Figure

from amortized.benchmark.methods import DiffusionMethod, method_named
from figures.drawing import curves, legend, panels
from figures.runs import Result, Run

CAPACITIES = [1_000, 5_000, 50_000, 600_000]
LOCAL_SEARCH = cast(DiffusionMethod, method_named("tb-expl-ls"))


def runs(seconds: float, seeds: int) -> list[Run]:
    return [
        Run(
            "models/many_well.py:32",
            replace(LOCAL_SEARCH, capacity=capacity),
            {"method": "tb-expl-ls", "capacity": capacity},
            seconds,
            seed,
        )
        for seed in range(seeds)
        for capacity in CAPACITIES
    ]


def draw(results: Sequence[Result]) -> Figure:
    figure, axes = panels(1, 4, "Manywell-32: the capacity of the replay buffer", 3.2)
    for panel, metric in zip(axes, ("delta", "rw", "recall", "mode_error"), strict=True):
        curves(panel, results, "capacity", "method", metric, "ends that the buffer holds")
    legend(figure, axes[0])
    return figure
