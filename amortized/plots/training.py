"""What happened during training: the loss, the bounds on the log evidence, the quality of the draws."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from amortized.plots.style import BLUE, GREEN, GREY, ORANGE, ink
from amortized.training.evaluation import Evaluation
from amortized.weights import Estimate

NEAR = 5.0
"""Nats around log Z that set the axis: bounds of the first steps can be hundreds away."""

Corner = Literal["upper right", "lower right"]


def bounds(
    axes: Axes,
    evaluations: Sequence[tuple[int, Evaluation]],
    evidence: Estimate,
    truth: float | None = None,
) -> Axes:
    """The band between ELBO and EUBO during training, and the estimate of log Z.

    Args:
        axes: where it is drawn.
        evaluations: training steps with their evaluations.
        evidence: the estimate of log Z, in nats.
        truth: log Z, in nats, if it is known.
    """
    steps = [step for step, _ in evaluations]
    elbo, eubo = ([getattr(found, side) for _, found in evaluations] for side in ("elbo", "eubo"))
    axes.fill_between(steps, elbo, eubo, color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(steps, eubo, color=BLUE, linewidth=1.4, marker="v", markersize=4, label="upper bound")
    axes.plot(steps, elbo, color=BLUE, linewidth=1.4, marker="^", markersize=4, label="lower bound")
    axes.axhline(evidence.value, color=ink(), linewidth=1.2, label=f"estimate {evidence}")
    if truth is not None:
        axes.axhline(truth, color=ORANGE, linewidth=1.4, linestyle="--", label=f"in the file {truth:.3f}")
    heights = [value for value in (*elbo, *eubo) if abs(value - evidence.value) < NEAR] + [evidence.value]
    margin = 0.1 + 0.1 * (max(heights) - min(heights))
    axes.set_ylim(min(heights) - margin, max(heights) + 5 * margin)
    return during_training(axes, "log evidence (nats)")


def progress(axes: Axes, evaluations: Sequence[tuple[int, Evaluation]], enough: float | None) -> Axes:
    """Overlap and effective fraction of the draws during training; it ends when the overlap is ``enough``."""
    steps = [step for step, _ in evaluations]
    axes.plot(steps, [found.overlap for _, found in evaluations], color=BLUE, marker="o", markersize=4, label="overlap")
    fractions = [found.ess_fraction for _, found in evaluations]
    axes.plot(steps, fractions, color=GREEN, marker="s", markersize=4, label="effective fraction")
    if enough is not None:
        axes.axhline(enough, color=GREY, linewidth=1, linestyle=":", label="enough overlap")
    axes.set_ylim(0, 1.05)
    return during_training(axes, "quality of the draws", corner="lower right")


def losses(axes: Axes, values: Sequence[float], title: str, first: int = 1, window: int = 20) -> Axes:
    """The loss of every step, thin, and its running median.

    Args:
        axes: where it is drawn.
        values: the losses; the lowest 1 % and the highest 3 % may lie outside the axes.
        title: of the axes.
        first: number of the first step.
        window: steps on either side that the median is taken over; fewer if there are under 100 steps.

    >>> from matplotlib.figure import Figure
    >>> losses(Figure().add_subplot(), [3.0, 2.0, 1.0], "loss").get_title()
    'loss'
    """
    steps, heights = first + np.arange(len(values)), np.asarray(values, dtype=float)
    width = max(1, min(window, len(heights) // 5))
    smooth = [np.median(heights[max(0, place - width) : place + width + 1]) for place in range(len(heights))]
    axes.plot(steps, heights, color=BLUE, linewidth=0.7, alpha=0.4, label="each step")
    axes.plot(steps, smooth, color=BLUE, linewidth=1.6, label=f"median of {2 * width + 1} steps")
    finite = heights[np.isfinite(heights)]
    if len(finite) > 1 and (low := np.quantile(finite, 0.01)) < (high := np.quantile(finite, 0.97)):
        axes.set_ylim(low - 0.1 * (high - low), high + 0.4 * (high - low))
    return during_training(axes, title)


def during_training(axes: Axes, title: str, corner: Corner = "upper right") -> Axes:
    axes.set_title(title)
    axes.set_xlabel("training step")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.legend(loc=corner, fontsize=8, handlelength=1.5, labelspacing=0.3)
    return axes
