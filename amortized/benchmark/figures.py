"""A figure for every table: one metric against the seconds of training, by method and target."""

from __future__ import annotations

import io
import math
import statistics
from collections.abc import Sequence
from typing import Any, cast

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from amortized.benchmark.cells import EXACT
from amortized.benchmark.table import COLUMNS, TIMES, Column, Result, values_of
from amortized.plots import GREY, STYLE

MARKERS = "osD^v<>PX*hp"
"""Twelve shapes, since a reader may not tell twenty colours apart."""

DARK = {
    "text.color": "#E6E6E6",
    "axes.labelcolor": "#E6E6E6",
    "axes.edgecolor": "#9A9A9A",
    "xtick.labelcolor": "#E6E6E6",
    "ytick.labelcolor": "#E6E6E6",
    "grid.color": "#3A3A3A",
    "axes.facecolor": "#16181C",
    "figure.facecolor": "#16181C",
}
"""The colours of the report's dark page."""


def metric_against_seconds(results: Sequence[Result], column: Column, dark: bool = False) -> bytes:
    """PNG: one panel a target, one colour and marker a method, bars of one standard deviation over seeds."""
    targets = sorted({result["target"] for result in results if values_of([result], column)})
    methods = sorted({result["method"] for result in results if result["method"] != EXACT})
    wide = 2 if len(targets) in (2, 4) else min(3, len(targets))
    rows = -(-len(targets) // wide)
    with matplotlib.rc_context(cast(Any, {**STYLE, **(DARK if dark else {})})):
        legend = -(-len(methods) // 4)
        figure = Figure(figsize=(10, 3.1 * rows + 0.25 * legend + 0.2), layout="constrained", dpi=130)
        for place, target in enumerate(targets, 1):
            axes = figure.add_subplot(rows, wide, place)
            draw_panel(axes, [result for result in results if result["target"] == target], column, methods)
            axes.set_title(target)
        handles = {}
        for axes in figure.axes:
            handles |= {label: handle for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        if handles:
            figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=min(4, len(handles)))
        stream = io.BytesIO()
        figure.savefig(stream, format="png")
    return stream.getvalue()


def draw_panel(axes: Axes, results: Sequence[Result], column: Column, methods: Sequence[str]) -> None:
    """Every method's means, a line through its budgets; no point for a budget at which a seed is not finite.

    Methods stand side by side if all of them took the same time to a tenth.
    """
    [seconds] = TIMES
    means: list[float] = []
    times = values_of([result for result in results if result["method"] != EXACT], seconds)
    equal_times = len(times) > 1 and max(times) < 1.1 * min(times)
    for index, method in enumerate(methods):
        points = points_of([result for result in results if result["method"] == method], column)
        if points:
            x, y, error = zip(*points, strict=True)
            x = [index] * len(x) if equal_times else x
            means += y
            style = {"color": matplotlib.colormaps["tab20"](index % 20), "marker": MARKERS[index % len(MARKERS)]}
            axes.errorbar(x, y, error, label=method, capsize=2, markersize=5, linewidth=1, **cast(Any, style))
    floors = values_of([result for result in results if result["method"] == EXACT], column)
    if floors and all(map(math.isfinite, floors)):
        axes.axhline(statistics.fmean(floors), color=GREY, linewidth=1, linestyle="--", label=EXACT)
    if equal_times:
        axes.set_xticks(range(len(methods)), methods, rotation=60, ha="right", fontsize=7)
        axes.set_xlabel(f"after {statistics.fmean(times):.0f} seconds of training")
    else:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("seconds of training")
    if means and min(means) > 0 and max(means) > 20 * min(means):
        axes.set_yscale("log")
    axes.set_ylabel(f"{column.title} ({column.name})")
    axes.grid(True)
    axes.set_axisbelow(True)


def points_of(results: Sequence[Result], column: Column) -> list[tuple[float, float, float]]:
    """For every budget of a method: seconds, the value's mean and its std over seeds."""
    [seconds] = TIMES
    budgets: dict[str, list[Result]] = {}
    for result in results:
        if values_of([result], column):
            budgets.setdefault(str(result["budget"]), []).append(result)
    points = []
    for group in budgets.values():
        values = values_of(group, column)
        if all(map(math.isfinite, values)):
            std = statistics.stdev(values) if len(values) > 1 else 0.0
            points.append((statistics.fmean(values_of(group, seconds)), statistics.fmean(values), std))
    return sorted(points)


def metric_column(name: str) -> Column:
    """The column of a metric; a ``ValueError`` that lists the metrics if there is none."""
    for column in COLUMNS:
        if column.name == name:
            return column
    raise ValueError(f"no metric {name}: type one of {', '.join(column.name for column in COLUMNS)}")
