"""Figures from results written by hand; that they look right is for the eye."""

import math

import pytest
from matplotlib.figure import Figure

from amortized.benchmark import figures


def result(method: str, target: str, seconds: float, delta: float, seed: int = 0) -> dict:
    cell = {"method": method, "target": target, "seed": seed, "budget": {"seconds": seconds}}
    return {**cell, "metrics": {"delta": delta, "mmd": 0.1}, "training": {"seconds": seconds}}


RESULTS = [
    *(result("a", "one", seconds, 1 / seconds, seed) for seconds in (1.0, 10.0) for seed in (0, 1)),
    result("b", "one", 1.0, math.inf),
    result("b", "two", 1.0, -0.5),
    {"method": "exact draws", "target": "one", "seed": 0, "budget": None, "metrics": {"mmd": 0.01}},
    {"method": "c", "target": "three", "seed": 0, "budget": {"seconds": 1.0}},
]


@pytest.mark.parametrize("dark", [False, True])
def test_a_png_with_a_panel_a_target(dark: bool):
    picture = figures.metric_against_seconds(RESULTS, figures.metric_column("delta"), dark)
    assert picture.startswith(b"\x89PNG")


def test_a_panel_joins_the_budgets_of_a_method_and_shows_the_floor():
    axes = Figure().add_subplot()
    figures.draw_panel(
        axes, [result for result in RESULTS if result["target"] == "one"], figures.metric_column("mmd"), ["a"]
    )
    [line] = axes.containers[0].lines[:1]
    assert list(line.get_xdata()) == [1.0, 10.0]
    _, labels = axes.get_legend_handles_labels()
    assert set(labels) == {"a", "exact draws"}


def test_floors_alone_and_figures_that_are_not_finite():
    odd = [result("a", "one", 1.0, delta, seed) for seed, delta in enumerate((math.inf, -math.inf, math.nan))]
    assert figures.metric_against_seconds([*odd, *RESULTS[-2:]], figures.metric_column("delta")).startswith(b"\x89PNG")
    assert figures.metric_against_seconds(RESULTS[-2:], figures.metric_column("mmd")).startswith(b"\x89PNG")


def test_a_metric_that_is_not_there():
    with pytest.raises(ValueError, match="no metric beauty: type one of delta, rw"):
        figures.metric_column("beauty")
