"""Replicated data beside the observed data: would the model make such data?"""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from amortized.plots.style import BLUE, GREY, ink, without_height

FEW = 40
"""Data up to which each has an interval of its own: more would overlap in a panel of four inches."""

CURVES = 50
"""Replicated data sets whose outlines are drawn."""

COUNTS = 30
"""Different whole numbers up to which data are counts, with a bar each."""


def predictive(axes: Axes, name: str, observed: np.ndarray, replicated: np.ndarray) -> Axes:
    """Observed against replicated data: bars for counts, intervals for at most 40 data, densities for more.

    Args:
        axes: where it is drawn.
        name: the site, as the title.
        observed: the data ``(*event)``.
        replicated: N data sets that the model made ``(N, *event)``.

    Raises:
        ValueError: the events differ in shape.

    >>> from matplotlib.figure import Figure
    >>> replicated = np.random.default_rng(0).poisson(3.0, (100, 60))
    >>> predictive(Figure().add_subplot(), "y", replicated[0], replicated).get_title()
    'y'
    """
    if replicated.shape[1:] != observed.shape:
        raise ValueError(
            f"replicated: events of shape {replicated.shape[1:]}, observed {observed.shape}: write replicated[:, ...] "
            "with one replicated data set a row"
        )
    values, draws = observed.reshape(-1).astype(float), replicated.reshape(len(replicated), -1).astype(float)
    axes.set_title(name)
    if are_counts(observed) and are_counts(replicated):
        return bars(axes, values, draws)
    return intervals(axes, values, draws) if len(values) <= FEW else densities(axes, values, draws)


def are_counts(values: np.ndarray) -> bool:
    """Whether all values are whole numbers from 0, at most 30 of them different, and one of them occurs twice.

    >>> are_counts(np.array([0, 1, 1])), are_counts(np.array([0.5])), are_counts(np.array([3.0]))
    (True, False, False)
    """
    different = np.unique(values)
    whole = bool(np.all(np.isfinite(values)) and np.all(values >= 0) and np.all(values == np.round(values)))
    return whole and len(different) <= COUNTS and len(different) < values.size


def bars(axes: Axes, observed: np.ndarray, replicated: np.ndarray) -> Axes:
    """The share of each count in the observed data, and its mean and 90 % interval in replicated data."""
    levels = np.unique(np.concatenate([observed, replicated.ravel()]))
    in_data = np.array([(observed == level).mean() for level in levels])
    share = np.stack([(replicated == level).mean(1) for level in levels], 1)
    low, middle, high = (*np.quantile(share, [0.05], axis=0), share.mean(0), *np.quantile(share, [0.95], axis=0))
    axes.bar(levels, in_data, width=0.8, color=GREY, alpha=0.35, label="observed")
    reach = np.stack([np.maximum(middle - low, 0.0), np.maximum(high - middle, 0.0)])
    axes.errorbar(levels, middle, reach, fmt="o", color=BLUE, markersize=4, linewidth=1.4, label="replicated, 90 %")
    axes.set_ylim(0, 1.3 * max(in_data.max(), high.max()))
    axes.set_ylabel("share of the data")
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.legend(loc="upper right", fontsize=8)
    return axes


def intervals(axes: Axes, observed: np.ndarray, replicated: np.ndarray) -> Axes:
    """Each observation with the 50 and 90 % intervals of its replications."""
    places = np.arange(len(observed))
    low, lower, middle, upper, high = np.quantile(replicated, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
    axes.vlines(places, low, high, color=BLUE, linewidth=1.4, label="replicated, 90 %")
    axes.vlines(places, lower, upper, color=BLUE, linewidth=4, alpha=0.45, label="replicated, 50 %")
    axes.plot(places, observed, "D", color=ink(), markersize=4, label="observed")
    bottom, top = min(low.min(), observed.min()), max(high.max(), observed.max())
    axes.set_ylim(bottom - 0.05 * (top - bottom or 1.0), top + 0.4 * (top - bottom or 1.0))
    axes.set_xlim(-0.6, len(observed) - 0.4)
    axes.set_xlabel("observation")
    axes.set_xticks(places[:: max(1, len(places) // 8)])
    axes.legend(loc="upper right", fontsize=8, ncols=3, handlelength=1.2, columnspacing=1.0)
    return axes


def densities(axes: Axes, observed: np.ndarray, replicated: np.ndarray) -> Axes:
    """The outline of the observed data over thin outlines of 50 replicated data sets, in the same bins."""
    shown = replicated[:: max(1, len(replicated) // CURVES)][:CURVES]
    finite = shown[np.isfinite(shown)]
    ends = np.concatenate([observed, np.quantile(finite, [0.005, 0.995])]) if len(finite) else observed
    edges = np.linspace(ends.min(), ends.max(), int(2 * len(observed) ** (1 / 3)) + 2)
    centres = (edges[1:] + edges[:-1]) / 2
    for place, values in enumerate(shown):
        heights = np.histogram(values, edges)[0] / len(values)
        axes.plot(centres, heights, color=BLUE, linewidth=0.6, alpha=0.35, label="replicated" if place == 0 else None)
    axes.plot(centres, np.histogram(observed, edges)[0] / len(observed), color=ink(), linewidth=1.8, label="observed")
    without_height(axes)
    axes.legend(loc="upper right", fontsize=8)
    return axes
