"""Which ends are replayed how often: uniformly, by rank, by reward, by importance weight (claim 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from matplotlib.figure import Figure

from amortized.behaviours import RankPriority
from amortized.behaviours.priorities import ImportancePriority, RewardPriority, UniformPriority
from amortized.benchmark.methods import DiffusionMethod, method_named
from figures.drawing import curves_by_target
from figures.runs import MODELS, Result, Run

PRIORITIES = {
    "uniform": UniformPriority,
    "rank": RankPriority,
    "reward": RewardPriority,
    "importance": ImportancePriority,
}
SEARCHED = ("25GMM", "Manywell-32")
LOCAL_SEARCH = cast(DiffusionMethod, method_named("tb-expl-ls"))


def runs(seconds: float, seeds: int) -> list[Run]:
    """Every budget is a run of its own."""
    return [
        Run(MODELS[target], replace(LOCAL_SEARCH, priority=priority), {"priority": name}, seconds / part, seed)
        for seed in range(seeds)
        for target in SEARCHED
        for part in (3, 1)
        for name, priority in PRIORITIES.items()
    ]


def draw(results: Sequence[Result]) -> Figure:
    return curves_by_target(results, "priority", "Replay with local search: which ends are replayed", "priority")
