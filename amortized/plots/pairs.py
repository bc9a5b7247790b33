"""Pairs of scalars: where each method's draws lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator
from scipy.ndimage import gaussian_filter

from amortized.diagnostics.comparison import Arrays, scalars
from amortized.plots.marginals import marginal, span
from amortized.plots.style import BLUE, line

POINTS = 1_500
"""Points at most: more cover each other and make the file large."""

LEVELS = (0.9, 0.5)
"""Shares of the draws that the lines enclose."""

BINS, BLUR = 60, 1.6
"""Cells a side of the histogram, and the std in cells of its smoothing: lines without the noise of 1,000 draws."""

Pair = tuple[np.ndarray, np.ndarray]


def pair(axes: Axes, ours: Pair, others: Sequence[Pair | None] = ()) -> Axes:
    """Our draws as points, under lines that enclose 50 and 90 % of every method's draws.

    The lines come from a smoothed histogram of all draws. At most 1,500 points are drawn, as an image.

    Args:
        axes: where it is drawn.
        ours: two scalars, ``(N,)`` each.
        others: the same of each other method; None if a method does not have both.
    """
    by_place = {place: finite_pairs(draws) for place, draws in enumerate((ours, *others)) if draws is not None}
    window = tuple(with_margin(*span([draws[side] for draws in by_place.values()])) for side in (0, 1))
    thin = max(1, len(by_place[0][0]) // POINTS)
    x, y = (values[::thin] for values in by_place[0])
    axes.plot(x, y, "o", color=BLUE, markersize=1.6, markeredgewidth=0, alpha=0.35, rasterized=True)
    for place, draws in by_place.items():
        if len(draws[0]) > 10:
            contours(axes, draws, window, place)
    axes.set_xlim(*window[0])
    axes.set_ylim(*window[1])
    axes.xaxis.set_major_locator(MaxNLocator(3))
    axes.yaxis.set_major_locator(MaxNLocator(3))
    return axes


def both(draws: Mapping[str, np.ndarray], horizontal: str, vertical: str) -> Pair | None:
    return (draws[horizontal], draws[vertical]) if {horizontal, vertical} <= draws.keys() else None


def finite_pairs(draws: Pair) -> Pair:
    rows = np.isfinite(draws[0]) & np.isfinite(draws[1])
    return draws[0][rows], draws[1][rows]


def with_margin(low: float, high: float) -> tuple[float, float]:
    margin = 0.08 * (high - low) or 0.5
    return low - margin, high + margin


def contours(axes: Axes, draws: Pair, window: tuple[tuple[float, float], ...], place: int) -> None:
    """Lines around the densest cells that hold 50 and 90 % of the draws."""
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


def pairs(figure: FigureBase, ours: Arrays, baselines: Mapping[str, Arrays], names: Sequence[str]) -> np.ndarray:
    """Panels ``(D, D)`` of the scalars in ``names``: marginals on the diagonal, pairs below, nothing above."""
    size = len(names)
    panels = figure.subplots(size, size, squeeze=False, sharex="col")
    own, others = scalars(ours), [scalars(arrays) for arrays in baselines.values()]
    for row, vertical in enumerate(names):
        for column, horizontal in enumerate(names):
            axes = panels[row, column]
            if column > row:
                axes.set_axis_off()
            elif column == row:
                marginal(axes, vertical, own[vertical], [draws.get(vertical) for draws in others])
            else:
                pair(axes, (own[horizontal], own[vertical]), [both(draws, horizontal, vertical) for draws in others])
                axes.set_ylabel(vertical if column == 0 else "")
            if column and row != column:
                axes.tick_params(labelleft=False)
            axes.set_xlabel(horizontal if row == size - 1 else "")
    return panels
