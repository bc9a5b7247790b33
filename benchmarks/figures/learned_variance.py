"""Learned against fixed forward variance when there are few steps (claim 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from matplotlib.figure import Figure

from amortized.benchmark.methods import DiffusionMethod, method_named
from figures.drawing import curves, legend, panels
from figures.runs import Result, Run

STEPS = [5, 10, 20, 50]
EXPLORING = cast(DiffusionMethod, method_named("tb-expl-lp"))


def runs(seconds: float, seeds: int) -> list[Run]:
    return [
        Run(
            "models/gaussian_mixture_25.py",
            replace(EXPLORING, learned_variance=learned, steps=steps, training_steps=steps),
            {"method": "tb-expl-lp", "variance": "learned" if learned else "fixed", "steps": steps},
            seconds,
            seed,
        )
        for seed in range(seeds)
        for steps in STEPS
        for learned in (False, True)
    ]


def draw(results: Sequence[Result]) -> Figure:
    figure, axes = panels(1, 3, "25GMM, tb-expl-lp: learned against fixed forward variance")
    for panel, metric in zip(axes, ("delta", "rw", "recall"), strict=True):
        curves(panel, results, "steps", "variance", metric, "steps K, in training and sampling")
    legend(figure, axes[0])
    return figure
