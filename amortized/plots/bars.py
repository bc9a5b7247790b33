"""Methods side by side: intervals of many scalars, and what each method cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from amortized.diagnostics.comparison import Description
from amortized.plots.style import line


def forest(axes: Axes, by_method: Mapping[str, Sequence[Description]], names: Sequence[str]) -> Axes:
    """The 5 to 95 % interval and the median of each scalar by every method, one scalar a row from the top.

    Args:
        axes: where it is drawn.
        by_method: descriptions of the scalars by method.
        names: the scalars that are shown.
    """
    offsets = np.linspace(-0.3, 0.3, len(by_method)) if len(by_method) > 1 else np.zeros(1)
    for place, (method, rows) in enumerate(by_method.items()):
        found = {row.name: row for row in rows}
        shown = [(height, found[name]) for height, name in enumerate(names) if name in found]
        heights = [height + offsets[place] for height, _ in shown]
        low, middle, high = np.array([row.quantiles for _, row in shown]).reshape(-1, 3).T
        colour = line(place)["color"]
        axes.hlines(heights, low, high, color=colour, linewidth=1.4)
        axes.plot(middle, heights, "o", color=colour, markersize=3.5, label=method)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    return axes


def costs(axes: Axes, title: str, by_method: Mapping[str, float]) -> Axes:
    """One point a method from the top, on a logarithmic axis; a cost of 0 is unknown and has no point.

    A bar would show nothing: a logarithmic axis has no zero to start from.

    >>> from matplotlib.figure import Figure
    >>> axes = costs(Figure().add_subplot(), "seconds", {"guide": 20.0, "nuts": 40.0})
    >>> [text.get_text() for text in axes.texts]
    ['20', '40']
    """
    names, values = list(by_method), np.array(list(by_method.values()), dtype=float)
    known = np.where(values > 0, values, np.nan)
    low = 10 ** np.floor(np.log10(np.nanmin(known)) - 0.3) if np.isfinite(known).any() else 0.1
    high = max(float(np.nanmax(known)), 10 * low) if np.isfinite(known).any() else 1.0
    for place, value in enumerate(known):
        if np.isfinite(value):
            axes.plot(value, place, "o", color=line(place)["color"], markersize=6)
            axes.annotate(short(value), (value, place), (7, 0), textcoords="offset points", va="center", fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(low, high * (high / low) ** 0.25)
    axes.xaxis.set_major_locator(LogLocator(numticks=5))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.set_title(title)
    return axes


def short(value: float) -> str:
    """Three digits, and k, M or G for thousands, millions and billions.

    >>> [short(value) for value in (0.0123, 4.26, 137.2, 67_125, 1_720_088)]
    ['0.012', '4.3', '137', '67.1k', '1.7M']
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}" if value / size >= 10 else f"{value / size:.1f}{letter}"
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"
