"""Learned noising, and a Student-t transition in place of the Gaussian one (claim 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from matplotlib.figure import Figure

from amortized.benchmark.methods import DiffusionMethod, method_named
from amortized.processes.transitions import Gaussian, StudentT
from figures.drawing import chosen, dots, panels
from figures.runs import MODELS, Result, Run

TARGETS = ("25GMM", "Funnel")
TB_LP = cast(DiffusionMethod, method_named("tb-lp"))
KERNELS = {
    "Gaussian, fixed noising": replace(TB_LP, transition=Gaussian()),
    "Gaussian, learned noising": replace(TB_LP, transition=Gaussian(), learned_noising=True),
    "Student-t, fixed noising": replace(TB_LP, transition=StudentT(5.0)),
    "Student-t, learned noising": replace(TB_LP, transition=StudentT(5.0), learned_noising=True),
}


def runs(seconds: float, seeds: int) -> list[Run]:
    return [
        Run(MODELS[target], kernels, {"kernels": name}, seconds, seed)
        for seed in range(seeds)
        for target in TARGETS
        for name, kernels in KERNELS.items()
    ]


def draw(results: Sequence[Result]) -> Figure:
    figure, axes = panels(2, 2, "Trajectory balance with Langevin parametrization: noising and transition", 4.6, 2.8)
    for row, target in enumerate(TARGETS):
        for panel, metric in zip(axes[2 * row : 2 * row + 2], ("delta", "rw"), strict=True):
            dots(panel, chosen(results, target=target), "kernels", metric)
            panel.set_title(target)
    return figure
