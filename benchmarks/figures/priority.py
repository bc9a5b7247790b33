"""Which ends are replayed how often: uniformly, by rank, by reward, by importance weight (claim 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from matplotlib.figure import Figure

from amortized.behaviours import RankPriority
from amortized.behaviours.priorities import ImportancePriority, RewardPriority, UniformPriority
from amortized.benchmark.methods import DiffusionMethod, method
from figures.drawing import chosen, curves, legend, panels
from figures.runs import Result, Run

PRIORITIES = {
    "uniform": UniformPriority,
    "rank": RankPriority,
    "reward": RewardPriority,
    "importance": ImportancePriority,
}
MODELS = {"25GMM": "models/gaussian_mixture_25.py", "Manywell-32": "models/many_well.py:32"}
LOCAL_SEARCH = cast(DiffusionMethod, method("tb-expl-ls"))


def runs(seconds: float, seeds: int) -> list[Run]:
    """Every budget is a run of its own."""
    return [
        Run(model, replace(LOCAL_SEARCH, priority=priority), {"priority": name}, seconds / part, seed)
        for seed in range(seeds)
        for model in MODELS.values()
        for part in (3, 1)
        for name, priority in PRIORITIES.items()
    ]


def draw(results: Sequence[Result]) -> Figure:
    figure, axes = panels(2, 3, "Replay with local search: which ends are replayed")
    for row, target in enumerate(MODELS):
        for panel, metric in zip(axes[3 * row : 3 * row + 3], ("delta", "rw", "recall"), strict=True):
            curves(panel, chosen(results, target=target), "seconds", "priority", metric, "seconds of training")
            panel.set_title(target)
    legend(figure, axes[0], "priority")
    return figure
