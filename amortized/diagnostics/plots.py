"""Pictures of a fit. Every function draws into the matplotlib axes that it is given and hands them back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from amortized.diagnostics.comparison import Arrays, scalars
from amortized.diagnostics.evaluation import Evaluation
from amortized.estimate import Estimate

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#6B6B6B"  # Okabe and Ito: told apart by everyone
STYLE: dict[str, Any] = {
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "legend.frameon": False,
    "legend.fontsize": 9,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.7,
}
PANELS = 12
Corner = Literal["upper right", "lower right"]


def marginal(axes: Axes, name: str, ours: np.ndarray, reference: np.ndarray | None = None) -> Axes:
    """Histogram of ``ours: (N,)``, filled, under the outline of ``reference: (M,)``; tails beyond 0.2 % are cut.

    Draws that are not finite are left out.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> marginal(axes, "mu", np.arange(100.0)).get_title()
    'mu'
    """
    both = [draws[np.isfinite(draws)] for draws in (ours, reference) if draws is not None]
    low, high = np.quantile(np.concatenate(both), [0.002, 0.998]) if any(map(len, both)) else (0.0, 1.0)
    edges = np.linspace(low, high, int(2 * len(ours) ** (1 / 3)) + 2).tolist()  # Rice's rule
    fill, outline = (
        {"color": BLUE, "alpha": 0.45, "linewidth": 0},
        {"histtype": "step", "color": ORANGE, "linewidth": 1.4},
    )
    for draws, style in zip(both, (fill, outline), strict=False):
        axes.hist(draws, edges, weights=np.full(len(draws), 1 / max(len(draws), 1)), **style)
    axes.set_title(name)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    return axes


def bounds(
    axes: Axes,
    evaluations: Sequence[tuple[int, Evaluation]],
    evidence: Estimate,
    truth: float | None = None,
) -> Axes:
    """The band between ELBO and EUBO during training, closing on log Z; ``truth``: what the file says, in nats."""
    steps = [step for step, _ in evaluations]
    elbo, eubo = ([getattr(found, side) for _, found in evaluations] for side in ("elbo", "eubo"))
    axes.fill_between(steps, elbo, eubo, color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(steps, eubo, color=BLUE, linewidth=1.4, marker="v", markersize=4, label="upper bound")
    axes.plot(steps, elbo, color=BLUE, linewidth=1.4, marker="^", markersize=4, label="lower bound")
    axes.axhline(evidence.value, color="black", linewidth=1.2, label=f"estimate {evidence}")
    if truth is not None:
        axes.axhline(truth, color=ORANGE, linewidth=1.4, linestyle="--", label=f"in the file {truth:.3f}")
    heights = [value for value in (*elbo, *eubo) if abs(value - evidence.value) < 5] + [evidence.value]
    margin = 0.1 + 0.1 * (max(heights) - min(heights))
    axes.set_ylim(min(heights) - margin, max(heights) + 5 * margin)
    return during_training(axes, "log evidence (nats)")


def progress(axes: Axes, evaluations: Sequence[tuple[int, Evaluation]], enough: float) -> Axes:
    """Overlap and effective fraction of the draws during training; training ends when the overlap is ``enough``."""
    steps = [step for step, _ in evaluations]
    axes.plot(steps, [found.overlap for _, found in evaluations], color=BLUE, marker="o", markersize=4, label="overlap")
    fractions = [found.ess_fraction for _, found in evaluations]
    axes.plot(steps, fractions, color=GREEN, marker="s", markersize=4, label="effective fraction")
    axes.axhline(enough, color=GREY, linewidth=1, linestyle=":", label="enough overlap")
    axes.set_ylim(0, 1.05)
    return during_training(axes, "quality of the draws", corner="lower right")


def during_training(axes: Axes, title: str, corner: Corner = "upper right") -> Axes:
    axes.set_title(title)
    axes.set_xlabel("training step")
    axes.grid(axis="y")
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.legend(loc=corner, fontsize=8, handlelength=1.5, labelspacing=0.3)
    return axes


def weights(axes: Axes, log_weights: np.ndarray, evidence: Estimate, khat: float, ess_fraction: float) -> Axes:
    """Histogram of the log weights of fresh paths ``(N,)``, relative to log Z: a spike at 0 for a perfect sampler.

    The lowest 2 % are cut, which count for little; the highest are all shown."""
    relative = log_weights[np.isfinite(log_weights)] - evidence.value
    low, high = np.quantile(relative, 0.02), max(relative.max(), 0.0)
    high = max(high, low + 1e-3)
    axes.hist(relative, np.linspace(low, high, 41), color=BLUE, alpha=0.45, linewidth=0)
    axes.axvline(0.0, ymax=0.8, color="black", linewidth=1.2)
    axes.set_ylim(0, 1.25 * axes.get_ylim()[1])
    axes.set_title("log weights of the draws")
    axes.set_xlabel("log weight − log evidence (nats)")
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    lines = [f"effective draws {ess_fraction:.0%}", f"Pareto k̂ {khat:.2f}", "(sound below 0.7)"]
    axes.text(0.99, 0.97, "\n".join(lines), transform=axes.transAxes, ha="right", va="top", fontsize=8, linespacing=1.4)
    return axes


def chosen(arrays: Arrays, deterministic: Sequence[str] = (), panels: int = PANELS) -> list[str]:
    """Scalars to show where there are more than ``panels``: small sites first, derived ones before what they come from.

    A site that does not fit is left out, unless too few panels are filled: then its first entries are shown.

    >>> draws = {"mu": np.random.rand(1, 9), "z": np.random.rand(1, 9, 8), "theta": np.random.rand(1, 9, 8)}
    >>> names = chosen(draws, deterministic=["theta"])
    >>> len(names), names[:2], names[-1]
    (9, ['mu', 'theta[0]'], 'theta[7]')
    """
    sites = {name: list(scalars({name: array})) for name, array in arrays.items()}
    if sum(map(len, sites.values())) <= panels:
        return [name for names in sites.values() for name in names]
    shown: list[str] = []
    for site in sorted(sites, key=lambda name: (len(sites[name]), name not in deterministic)):
        room = panels - len(shown)
        if len(sites[site]) <= room or len(shown) < panels // 2:
            shown += sites[site][:room]
    return shown


def grid(count: int) -> tuple[int, int]:
    """Rows and columns for ``count`` panels, at most six a row and as even as can be.

    >>> [grid(count) for count in (1, 4, 10, 12)]
    [(1, 1), (1, 4), (2, 5), (2, 6)]
    """
    rows = -(-count // 6)
    return rows, -(-count // rows)


def marginals(figure: Any, ours: Arrays, reference: Arrays | None, names: Sequence[str]) -> list[Axes]:
    """One panel for each scalar in ``names``, in a figure or a part of one."""
    rows, columns = grid(len(names))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    mine, theirs = scalars(ours), scalars(reference or {})
    for axes, name in zip(panels, names, strict=False):
        marginal(axes, name, mine[name], theirs.get(name))
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    return panels[: len(names)]
