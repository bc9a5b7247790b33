"""One picture of a fit: marginals above; bounds, quality and weights below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from amortized import plots
from amortized.diagnostics.comparison import Arrays, scalars
from amortized.diagnostics.verdict import Diagnosis
from amortized.training.evaluation import Evaluation

Evaluations = Sequence[tuple[int, Evaluation]]


@dataclass(frozen=True)
class Contents:
    """What the picture shows: ``ours`` under the outlines of ``baselines``, by name; ``log_weights: (N,)``.

    ``deterministic``: sites that others determine, shown before these; ``truth``: the log evidence, where known.
    """

    title: str
    ours: Arrays
    diagnosis: Diagnosis
    log_weights: np.ndarray
    evaluations: Evaluations
    enough: float
    baselines: Mapping[str, Arrays] = field(default_factory=dict)
    truth: float | None = None
    deterministic: Sequence[str] = field(default_factory=tuple)


def draw(contents: Contents) -> Figure:
    """The whole picture as a figure, to be saved with ``figure.savefig``."""
    names = plots.chosen(contents.ours, contents.deterministic)
    rows, _ = plots.grid(len(names))
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06, wspace=0.03)
    with matplotlib.rc_context(cast(Any, plots.STYLE)):
        figure = Figure(figsize=(12, 1.0 + 1.75 * rows + 2.9), layout=layout, dpi=130)
        parts: Any = figure.subfigures(2, 1, height_ratios=[0.9 + 1.75 * rows, 2.9])
        top, bottom = parts
        top.suptitle(f"{contents.title}: {contents.diagnosis.verdict}", x=0.012, ha="left", fontsize=13, weight="bold")
        plots.marginals(top, contents.ours, contents.baselines, names)
        top.supxlabel(note(len(names), len(scalars(contents.ours))), fontsize=8, color=plots.GREY)
        legend(top, contents)
        diagnostics(bottom, contents)
    return figure


def note(shown: int, total: int) -> str:
    """What the marginals leave out.

    >>> note(10, 18)
    'marginal posteriors, 10 of 18 scalars; all of them in summary.csv'
    """
    return "marginal posteriors" + (
        "" if shown == total else f", {shown} of {total} scalars; all of them in summary.csv"
    )


def legend(figure, contents: Contents) -> None:
    handles = [Patch(facecolor=plots.BLUE, alpha=0.45, label=f"diffusion guide, {draws(contents.ours):,} draws")]
    for place, (name, arrays) in enumerate(contents.baselines.items(), start=1):
        lines = plots.line(place)
        style = {"facecolor": "none", "edgecolor": lines["color"], "linestyle": lines["linestyle"], "linewidth": 1.4}
        handles.append(Patch(**style, label=f"{name}, {draws(arrays):,} draws"))
    figure.legend(handles=handles, loc="upper right", ncols=min(len(handles), 4), borderaxespad=0.4)


def draws(arrays: Arrays) -> int:
    chains, length = next(iter(arrays.values())).shape[:2]
    return chains * length


def diagnostics(figure, contents: Contents) -> None:
    left, middle, right = figure.subplots(1, 3)
    found = contents.diagnosis
    plots.bounds(left, contents.evaluations, found.log_evidence, contents.truth)
    plots.progress(middle, contents.evaluations, contents.enough)
    plots.weights(right, contents.log_weights, found.log_evidence, found.khat, found.ess_fraction)
