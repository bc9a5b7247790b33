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
from amortized.benchmark.table import COLUMNS, TIMES, Column, Result, deviation, figures
from amortized.plots import GREY, STYLE

MARKERS = "osD^v<>PX*hp"
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


def against_seconds(results: Sequence[Result], column: Column, dark: bool = False) -> bytes:
    """PNG: one panel a target, one colour and marker a method, bars of one standard deviation over seeds."""
    targets = sorted({result["target"] for result in results if figures([result], column)})
    methods = sorted({result["method"] for result in results if result["method"] != EXACT})
    wide = 2 if len(targets) in (2, 4) else min(3, len(targets))
    rows = -(-len(targets) // wide)
    with matplotlib.rc_context(cast(Any, {**STYLE, **(DARK if dark else {})})):
        legend = -(-len(methods) // 4)
        figure = Figure(figsize=(10, 3.1 * rows + 0.25 * legend + 0.2), layout="constrained", dpi=130)
        for place, target in enumerate(targets, 1):
            axes = figure.add_subplot(rows, wide, place)
            panel(axes, [result for result in results if result["target"] == target], column, methods)
            axes.set_title(target)
        handles = {label: handle for axes in figure.axes for handle, label in zip(*labelled(axes), strict=True)}
        if handles:
            figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=min(4, len(handles)))
        stream = io.BytesIO()
        figure.savefig(stream, format="png")
    return stream.getvalue()


def panel(axes: Axes, results: Sequence[Result], column: Column, methods: Sequence[str]) -> None:
    """Every method's means, joined by a line where it ran at several budgets; none where a seed is not finite.

    Methods stand side by side where all of them took the same time to a tenth.
    """
    [seconds] = TIMES
    smallest = []
    times = figures([result for result in results if result["method"] != EXACT], seconds)
    together = len(times) > 1 and max(times) < 1.1 * min(times)
    for index, method in enumerate(methods):
        budgets: dict[str, list[Result]] = {}
        for result in results:
            if result["method"] == method and figures([result], column):
                budgets.setdefault(str(result["budget"]), []).append(result)
        points = sorted(
            (statistics.fmean(figures(group, seconds)), *spread(figures(group, column)))
            for group in budgets.values()
            if all(map(math.isfinite, figures(group, column)))
        )
        if points:
            x, y, error = zip(*points, strict=True)
            x = [index] * len(x) if together else x
            smallest += y
            style = {"color": matplotlib.colormaps["tab20"](index % 20), "marker": MARKERS[index % len(MARKERS)]}
            axes.errorbar(x, y, error, label=method, capsize=2, markersize=5, linewidth=1, **cast(Any, style))
    floors = figures([result for result in results if result["method"] == EXACT], column)
    if floors and all(map(math.isfinite, floors)):
        axes.axhline(statistics.fmean(floors), color=GREY, linewidth=1, linestyle="--", label=EXACT)
    if together:
        axes.set_xticks(range(len(methods)), methods, rotation=60, ha="right", fontsize=7)
        axes.set_xlabel(f"after {statistics.fmean(times):.0f} seconds of training")
    else:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("seconds of training")
    if smallest and min(smallest) > 0 and max(smallest) > 20 * min(smallest):
        axes.set_yscale("log")
    axes.set_ylabel(f"{column.title} ({column.name})")
    axes.grid(True)
    axes.set_axisbelow(True)


def labelled(axes: Axes) -> tuple[list[Any], list[Any]]:
    handles, labels = axes.get_legend_handles_labels()
    return list(handles), list(labels)


def spread(values: Sequence[float]) -> tuple[float, float]:
    return statistics.fmean(values), deviation(values) if len(values) > 1 else 0.0


def column_named(name: str) -> Column:
    """Raises ``ValueError`` that lists the metrics."""
    for column in COLUMNS:
        if column.name == name:
            return column
    raise ValueError(f"no metric {name}: type one of {', '.join(column.name for column in COLUMNS)}")
