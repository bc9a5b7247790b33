"""Local search by MALA: a fixed step against one adapted to an acceptance of 0.574 (claim 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import cast

from matplotlib.figure import Figure

from amortized.behaviours import MALASearch
from amortized.benchmark.methods import DiffusionMethod, method
from figures.drawing import chosen, curves, legend, panels
from figures.runs import Result, Run

MODELS = {"25GMM": "models/gaussian_mixture_25.py", "Manywell-32": "models/many_well.py:32"}
LOCAL_SEARCH = cast(DiffusionMethod, method("tb-expl-ls"))
STEPS = {"fixed at 0.01": False, "adapted": True}


def runs(seconds: float, seeds: int) -> list[Run]:
    """Every budget is a run of its own."""
    return [
        Run(
            model,
            replace(LOCAL_SEARCH, search=partial(MALASearch, steps=100, burn_in=50, step_size=0.01, adapt=adapt)),
            {"step": name},
            seconds / part,
            seed,
        )
        for seed in range(seeds)
        for model in MODELS.values()
        for part in (3, 1)
        for name, adapt in STEPS.items()
    ]


def draw(results: Sequence[Result]) -> Figure:
    figure, axes = panels(2, 3, "Replay with local search: the step of MALA")
    for row, target in enumerate(MODELS):
        for panel, metric in zip(axes[3 * row : 3 * row + 3], ("delta", "rw", "recall"), strict=True):
            curves(panel, chosen(results, target=target), "seconds", "step", metric, "seconds of training")
            panel.set_title(target)
    legend(figure, axes[0], "step of MALA")
    return figure
