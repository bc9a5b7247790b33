"""Two scalars at a time: where each method's draws lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import gaussian_filter

from amortized.diagnostics.comparison import Arrays, scalars
from amortized.plots.marginals import marginal, span
from amortized.plots.style import BLUE, line

POINTS = 1_500
LEVELS = (0.9, 0.5)
BINS, BLUR = 60, 1.6

Pair = tuple[np.ndarray, np.ndarray]


def pair(axes: Axes, ours: Pair, others: Sequence[Pair | None] = ()) -> Axes:
    """Points of ``ours``, two scalars ``(N,)`` each, under the lines around 50 and 90 % of every method's draws.

    At most 1,500 points are drawn, as an image; the lines come from a smoothed histogram of all draws.
    """
    every = [None if draws is None else finite(draws) for draws in (ours, *others)]
    there = [draws for draws in every if draws is not None]
    (left, right), (bottom, top) = (span([draws[side] for draws in there]) for side in (0, 1))
    thin = max(1, len(every[0][0]) // POINTS)  # type: ignore[index]
    x, y = (values[::thin] for values in there[0])
    axes.plot(x, y, "o", color=BLUE, markersize=1.6, markeredgewidth=0, alpha=0.35, rasterized=True)
    window = (widened(left, right), widened(bottom, top))
    for place, draws in enumerate(every):
        if draws is not None and len(draws[0]) > 10:
            contours(axes, draws, window, place)
    axes.set_xlim(*window[0])
    axes.set_ylim(*window[1])
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    return axes


def finite(draws: Pair) -> Pair:
    both = np.isfinite(draws[0]) & np.isfinite(draws[1])
    return draws[0][both], draws[1][both]


def widened(low: float, high: float) -> tuple[float, float]:
    margin = 0.08 * (high - low) or 0.5
    return low - margin, high + margin


def contours(axes: Axes, draws: Pair, window: tuple[tuple[float, float], tuple[float, float]], place: int) -> None:
    """Lines around the densest cells that hold 90 and 50 % of the draws."""
    counts, x, y = np.histogram2d(*draws, bins=BINS, range=window)
    smooth = gaussian_filter(counts, BLUR, mode="constant")
    heights = np.sort(smooth.ravel())[::-1]
    share = heights.cumsum() / heights.sum()
    levels = sorted({float(heights[np.searchsorted(share, level)]) for level in LEVELS})
    centres = [(edges[1:] + edges[:-1]) / 2 for edges in (x, y)]
    style = line(place)
    axes.contour(
        *centres, smooth.T, levels=levels, colors=style["color"], linestyles=style["linestyle"], linewidths=1.2
    )


def pairs(figure: Any, ours: Arrays, baselines: Mapping[str, Arrays], names: Sequence[str]) -> np.ndarray:
    """A triangle of panels ``(D, D)``: marginals on the diagonal, pairs below, nothing above."""
    size = len(names)
    panels = figure.subplots(size, size, squeeze=False, sharex="col")
    mine, theirs = scalars(ours), [scalars(arrays) for arrays in baselines.values()]
    for row, vertical in enumerate(names):
        for column, horizontal in enumerate(names):
            axes = panels[row, column]
            if column > row:
                axes.set_axis_off()
            elif column == row:
                marginal(axes, vertical, mine[vertical], [found.get(vertical) for found in theirs])
            else:
                both = horizontal, vertical
                others = [(f[horizontal], f[vertical]) if set(both) <= set(f) else None for f in theirs]
                pair(axes, (mine[horizontal], mine[vertical]), others)
                axes.set_ylabel(vertical if column == 0 else "")
            if column and row != column:
                axes.tick_params(labelleft=False)
            axes.set_xlabel(horizontal if row == size - 1 else "")
    return panels
