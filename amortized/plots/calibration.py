"""Pictures of a calibration, one by one or all in one figure."""

from __future__ import annotations

from typing import Any, Literal, cast

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from amortized.diagnostics.calibration import Calibration, Ranks
from amortized.diagnostics.calibration_bands import Band, binomial
from amortized.plots import BLUE, GREY, ORANGE, PANELS, STYLE, panel_grid

BARS = 20
"""Bars of a histogram at most: with more, a bar of 500 data sets has under 25 of them."""

LINES: tuple[Literal["-", "--", ":", "-."], ...] = ("-", "--", ":", "-.")
"""Dashes of the failed checks that the legend names, the worst first."""


def plot_calibration(found: Calibration) -> Figure:
    """All pictures in one figure: histograms of the scalars (the worst 12 if there are more), ranks and coverage."""
    shown = found.scalars if len(found.scalars) <= PANELS else found.worst[:PANELS]
    rows, columns = panel_grid(len(shown))
    with matplotlib.rc_context(cast(Any, STYLE)):
        figure = Figure(figsize=(12, 0.6 + 1.9 * rows + 3.0), layout="constrained", dpi=130)
        parts: Any = figure.subfigures(2, 1, height_ratios=[0.6 + 1.9 * rows, 3.0])
        top, bottom = parts
        top.suptitle(f"{len(found.joint.ranks):,} data sets: {found.verdict}", x=0.012, ha="left", fontsize=12)
        panels = list(top.subplots(rows, columns, squeeze=False).flat)
        for axes, scalar in zip(panels, shown, strict=False):
            plot_histogram(axes, scalar)
        for axes in panels[len(shown) :]:
            axes.set_axis_off()
        left, right = bottom.subplots(1, 2)
        plot_ranks(left, found)
        plot_coverage(right, found)
    return figure


def plot_ranks(axes: Axes, found: Calibration) -> Axes:
    """Distribution function of every scalar's ranks minus the diagonal; a check fails if its curve leaves the band.

    A posterior that is too narrow leaves it above at the left and below at the right; one that is too wide does the
    reverse. One that is shifted up lies above everywhere, and one that is shifted down lies below.
    """
    band = found.band(found.scalars[0])
    _shade(axes, band, band.z)
    failed = [scalar for scalar in found.failed if scalar is not found.joint]
    for scalar in found.scalars:
        if scalar not in failed:
            axes.plot(band.z, _distribution(scalar, band) - band.z, color=BLUE, linewidth=0.9, alpha=0.8)
    for index, scalar in enumerate(failed):
        label = f"{scalar.name} {scalar.finding}" if index < len(LINES) else None
        style = LINES[min(index, len(LINES) - 1)]
        axes.plot(band.z, _distribution(scalar, band) - band.z, style, color=ORANGE, linewidth=1.4, label=label)
    axes.set_ylim(*(1.5 * bound for bound in axes.get_ylim()))
    axes.set_xlabel("rank of the truth among the draws")
    axes.set_title("fraction of lower ranks, minus what it should be")
    return _finish(axes, bool(failed))


def plot_coverage(axes: Axes, found: Calibration) -> Axes:
    """Fraction of data sets whose truth lies in a ball of each credibility; a diagonal if the posteriors are right."""
    band, passes = found.band(found.joint), found.joint not in found.failed
    _shade(axes, band, np.zeros_like(band.z))
    axes.plot(band.z, band.z, color=GREY, linewidth=1, linestyle=":")
    colour, label = (BLUE, None) if passes else (ORANGE, found.joint.finding)
    axes.plot(band.z, _distribution(found.joint, band), color=colour, linewidth=1.4, label=label)
    axes.set_xlabel("credibility")
    axes.set_title("expected coverage of all scalars jointly")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    return _finish(axes, not passes)


def plot_histogram(axes: Axes, found: Ranks) -> Axes:
    """Histogram of one check's ranks, and the range of 99 % of each bar's heights if the posteriors are right."""
    bars = min(BARS, found.draws + 1)
    edges = np.linspace(0, found.draws + 1, bars + 1).round()
    heights = np.histogram(found.ranks + 0.5, edges)[0] / len(found.ranks)
    expected = np.diff(edges) / (found.draws + 1)
    chances = binomial(len(found.ranks), expected).cumsum(-1)
    low, high = ((chances < level).sum(-1) / len(found.ranks) / expected for level in (0.005, 0.995))
    z = edges / (found.draws + 1)
    axes.bar(z[:-1], heights / expected, np.diff(z), align="edge", color=BLUE, alpha=0.45, edgecolor="white")
    axes.bar(z[:-1], high - low, np.diff(z), low, align="edge", color=GREY, alpha=0.25)
    axes.set_title(found.name)
    axes.set_xlabel("rank of the truth among the draws")
    axes.set_xlim(0, 1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    return axes


def _distribution(found: Ranks, band: Band) -> np.ndarray:
    """Fraction of ranks below each of the band's cuts, ``(P,)``."""
    return np.concatenate([[0.0], found.uniform.below(found.ranks) / len(found.ranks), [1.0]])


def _shade(axes: Axes, band: Band, middle: np.ndarray) -> None:
    axes.fill_between(band.z, band.low - middle, band.high - middle, color=GREY, alpha=0.2, linewidth=0)


def _finish(axes: Axes, labelled: bool) -> Axes:
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    if labelled:
        axes.legend(fontsize=8, handlelength=1.5, labelspacing=0.3)
    return axes
