"""One picture of a fit: marginals above; bounds, quality and weights below."""

from __future__ import annotations

from typing import Any, cast

import matplotlib
from matplotlib.figure import Figure, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Patch

from amortized.diagnostics.comparison import scalars
from amortized.plots.marginals import marginals, panel_grid, scalars_to_show
from amortized.plots.style import BLUE, GREY, STYLE, line
from amortized.plots.training import bounds, progress
from amortized.plots.weights import weights
from amortized.report.contents import Contents


def picture(contents: Contents) -> Figure:
    """The whole picture as a figure, to be saved with ``figure.savefig``."""
    guide, *others = contents.arrays
    ours, baselines = contents.arrays[guide], {method: contents.arrays[method] for method in others}
    names = scalars_to_show(ours, contents.deterministic)
    rows, _ = panel_grid(len(names))
    layout = ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.06, wspace=0.03)
    with matplotlib.rc_context(cast(Any, STYLE)):
        figure = Figure(figsize=(12, 1.0 + 1.75 * rows + 2.9), layout=layout, dpi=130)
        parts: Any = figure.subfigures(2, 1, height_ratios=[0.9 + 1.75 * rows, 2.9])
        top, bottom = parts
        top.suptitle(f"{contents.title}: {contents.diagnosis.verdict}", x=0.012, ha="left", fontsize=13, weight="bold")
        marginals(top, ours, baselines, names)
        top.supxlabel(note(len(names), len(scalars(ours))), fontsize=8, color=GREY)
        legend(top, contents)
        judgement(bottom, contents)
    return figure


def note(shown: int, total: int) -> str:
    """How many of the scalars are shown.

    >>> note(10, 18)
    'marginal posteriors, 10 of 18 scalars; all of them in summary.csv'
    """
    return "marginal posteriors" + (
        "" if shown == total else f", {shown} of {total} scalars; all of them in summary.csv"
    )


def legend(figure: SubFigure, contents: Contents) -> None:
    handles = [Patch(facecolor=BLUE, alpha=0.45, label=f"diffusion guide, {len(contents.draws):,} draws")]
    for place, (name, draws) in enumerate(contents.methods().items()):
        if place > 0:
            colour, dashes = line(place)["color"], line(place)["linestyle"]
            label = f"{name}, {len(draws):,} draws"
            handles.append(Patch(facecolor="none", edgecolor=colour, linestyle=dashes, linewidth=1.4, label=label))
    figure.legend(handles=handles, loc="upper right", ncols=min(len(handles), 4), borderaxespad=0.4)


def judgement(figure: SubFigure, contents: Contents) -> None:
    """The weights, and beside them, where something was trained, bounds on log Z and quality during training."""
    found, training = contents.diagnosis, contents.training
    evaluations = [] if training is None else training.evaluations
    trained = bool(evaluations) and evaluations[-1][0] > 0
    *during, right = cast(Any, figure.subplots(1, 3 if trained else 1, squeeze=False))[0]
    if trained:
        bounds(during[0], evaluations, found.log_evidence, contents.truth)
        progress(during[1], evaluations, contents.enough)
    weights(right, contents.log_weights, found.log_evidence, found.khat, found.ess_fraction)
