"""What the figures share: panels, curves over a number, dots over names. Every seed is a dot; lines join the means."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from amortized.plots import BLUE, GREEN, GREY, ORANGE
from figures.runs import Result

SERIES = [(BLUE, "o"), (ORANGE, "s"), (GREEN, "^"), ("#CC79A7", "D"), ("#56B4E9", "v")]  # Okabe and Ito
LABELS = {
    "delta": "Δ = log Z − ELBO (nats)",
    "rw": "RW = log Z − estimate of it (nats)",
    "gap": "EUBO − ELBO (nats)",
    "recall": "share of the modes found",
    "mode_error": "largest error of a mode's weight",
    "milliseconds": "processor time a step (ms)",
}
LINEAR = {"recall", "mode_error"}


def value(result: Result, name: str) -> Any:
    """A metric, or what the run is told from the others by."""
    if name == "milliseconds":
        return 1e3 * result["training"]["seconds"] / max(result["training"]["steps"], 1)
    return float(result["metrics"][name]) if name in result["metrics"] else result["identity"][name]


def chosen(results: Sequence[Result], **settings: Any) -> list[Result]:
    """The results whose ``settings`` are these."""
    return [result for result in results if settings.items() <= result["identity"].items()]


def panels(rows: int, columns: int, title: str, width: float = 3.6, height: float = 3.1) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of axes, row by row."""
    figure = Figure(figsize=(width * columns, height * rows + 0.7), layout="constrained", dpi=130)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, weight="bold")
    return figure, list(figure.subplots(rows, columns, squeeze=False).flat)


def curves(axes: Axes, results: Sequence[Result], x: str, group: str, metric: str, label: str) -> None:
    """``metric`` against the number ``x``, a line for every value of ``group``."""
    places = sorted({value(result, x) for result in results})
    for (colour, marker), name in zip(SERIES, dict.fromkeys(value(result, group) for result in results), strict=False):
        mine = chosen(results, **{group: name})
        seeds = [(value(result, x), value(result, metric)) for result in mine]
        means = [statistics.fmean(y for place, y in seeds if place == at) for at in sorted({at for at, _ in seeds})]
        axes.plot(sorted({at for at, _ in seeds}), means, color=colour, linewidth=1.5)
        axes.plot(*zip(*seeds, strict=True), linestyle="", color=colour, marker=marker, markersize=4.5)
        axes.plot([], [], color=colour, linewidth=1.5, marker=marker, markersize=4.5, label=str(name))
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(places))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:,.3g}" if at < 1000 else f"{at / 1000:,.3g}k"))
    axes.set_xlabel(label)
    vertical(axes, metric, [value(result, metric) for result in results])


def curves_by_target(results: Sequence[Result], group: str, title: str, legend_title: str) -> Figure:
    """A row a target: Δ, RW and recall against the seconds of training, a line for every value of ``group``."""
    metrics = ("delta", "rw", "recall")
    targets = list(dict.fromkeys(result["identity"]["target"] for result in results))
    figure, axes = panels(len(targets), len(metrics), title)
    for panel, (target, metric) in zip(axes, itertools.product(targets, metrics), strict=True):
        curves(panel, chosen(results, target=target), "seconds", group, metric, "seconds of training")
        panel.set_title(target)
    legend(figure, axes[0], legend_title)
    return figure


def dots(axes: Axes, results: Sequence[Result], group: str, metric: str) -> None:
    """``metric`` of every value of ``group``: seeds as dots, their mean as a bar."""
    names = list(dict.fromkeys(value(result, group) for result in results))
    for place, ((colour, marker), name) in enumerate(zip(SERIES, names, strict=False)):
        seeds = [value(result, metric) for result in chosen(results, **{group: name})]
        axes.plot([place] * len(seeds), seeds, linestyle="", color=colour, marker=marker, markersize=6)
        axes.hlines(statistics.fmean(seeds), place - 0.25, place + 0.25, color=colour, linewidth=1.8)
    axes.set_xticks(range(len(names)), [str(name).replace(", ", ",\n") for name in names], fontsize=8)
    axes.set_xlim(-0.5, len(names) - 0.5)
    vertical(axes, metric, [value(result, metric) for result in results])


def vertical(axes: Axes, metric: str, values: Sequence[float]) -> None:
    """Label, scale, limits and grid of the axis of ``metric``: logarithmic where the values need it."""
    axes.set_ylabel(LABELS[metric])
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    low, high = min(values), max(values)
    if metric in LINEAR:
        axes.set_ylim(-0.03, max(1.05, 1.1 * high) if metric == "recall" else 1.1 * high)
    elif low > 0 and high > 15 * low:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if high < 1000 * low else (1.0,)))
        axes.set_ylim(low / 1.4, 1.4 * high)
    elif low < 1 and high > 5:
        axes.set_yscale("symlog", linthresh=0.1)
        axes.set_ylim(min(-0.1, 1.6 * low), 1.6 * high)
    axes.yaxis.set_minor_formatter(NullFormatter())
    if axes.get_yscale() != "linear":
        axes.yaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{at:,g}"))
    if metric == "rw":
        axes.axhline(0, color=GREY, linewidth=1, linestyle="--")


def legend(figure: Figure, axes: Axes, title: str | None = None) -> None:
    """One legend for the whole figure, below it; none for a single series."""
    handles, labels = axes.get_legend_handles_labels()
    if len(labels) > 1:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), title=title)
