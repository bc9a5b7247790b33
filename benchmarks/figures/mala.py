"""Local search by MALA: a fixed step against one adapted to an acceptance of 0.574 (claim 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import cast

from matplotlib.figure import Figure

from amortized.behaviours import MALASearch
from amortized.benchmark.methods import DiffusionMethod, method_named
from figures.drawing import curves_by_target
from figures.runs import MODELS, Result, Run

LOCAL_SEARCH = cast(DiffusionMethod, method_named("tb-expl-ls"))
SEARCHED = ("25GMM", "Manywell-32")
STEPS = {"fixed at 0.01": False, "adapted": True}


def runs(seconds: float, seeds: int) -> list[Run]:
    """Every budget is a run of its own."""
    return [
        Run(
            MODELS[target],
            replace(LOCAL_SEARCH, search=partial(MALASearch, steps=100, burn_in=50, step_size=0.01, adapt=adapt)),
            {"step": name},
            seconds / part,
            seed,
        )
        for seed in range(seeds)
        for target in SEARCHED
        for part in (3, 1)
        for name, adapt in STEPS.items()
    ]


def draw(results: Sequence[Result]) -> Figure:
    return curves_by_target(results, "step", "Replay with local search: the step of MALA", "step of MALA")
