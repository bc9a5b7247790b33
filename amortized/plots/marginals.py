"""Marginal posteriors, one scalar a panel by several methods; and which scalars are shown if there are many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.ticker import MaxNLocator

from amortized.diagnostics.comparison import Arrays, scalars
from amortized.plots.style import BLUE, line, without_height

PANELS = 12
"""Panels at most: two rows of six, in which a title can still be read."""

TAIL = 0.002
"""Share of the draws that is cut at either end, so that one far draw does not flatten the rest."""


def marginal(axes: Axes, name: str, ours: np.ndarray, others: Sequence[np.ndarray | None] = ()) -> Axes:
    """A filled histogram of our draws under the outlines of other methods' histograms.

    Args:
        axes: where it is drawn.
        name: the scalar, as the title.
        ours: draws ``(N,)``; those that are not finite are left out.
        others: draws ``(M,)`` of each other method; None if a method does not have the scalar.

    >>> from matplotlib.figure import Figure
    >>> axes = Figure().add_subplot()
    >>> marginal(axes, "mu", np.arange(100.0)).get_title()
    'mu'
    """
    all_draws = [None if draws is None else draws[np.isfinite(draws)] for draws in (ours, *others)]
    low, high = span([draws for draws in all_draws if draws is not None])
    edges = np.linspace(low, high, int(2 * len(ours) ** (1 / 3)) + 2)  # Rice's rule
    for place, draws in enumerate(all_draws):
        if draws is None:
            continue
        outline: dict[str, Any] = {"linewidth": 1.4, **line(place)}
        style = outline if place else {"fill": True, "color": BLUE, "alpha": 0.45, "linewidth": 0}
        axes.stairs(np.histogram(draws, edges)[0] / max(len(draws), 1), edges, **style)
    axes.set_title(name)
    without_height(axes)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    return axes


def span(draws: Sequence[np.ndarray]) -> tuple[float, float]:
    """The range that is shown of several methods' draws: the widest one after the tails are cut.

    >>> span([np.arange(1001.0), np.arange(501.0)])
    (1.0, 998.0)
    """
    ranges = [np.quantile(values, [TAIL, 1 - TAIL]) for values in draws if len(values)]
    if not ranges:
        return 0.0, 1.0
    return float(min(low for low, _ in ranges)), float(max(high for _, high in ranges))


def scalars_to_show(arrays: Arrays, deterministic: Sequence[str] = (), panels: int = PANELS) -> list[str]:
    """The scalars that are shown: all if they fit into ``panels``, else small sites first and deterministic ones first.

    A site that does not fit is left out. Its first entries are shown if under half of the panels are filled.

    >>> draws = {"mu": np.random.rand(1, 9), "z": np.random.rand(1, 9, 8), "theta": np.random.rand(1, 9, 8)}
    >>> names = scalars_to_show(draws, deterministic=["theta"])
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


def panel_grid(count: int) -> tuple[int, int]:
    """Rows and columns for ``count`` panels: at most six a row, and rows of about equal length.

    >>> [panel_grid(count) for count in (1, 4, 10, 12)]
    [(1, 1), (1, 4), (2, 5), (2, 6)]
    """
    rows = -(-count // 6)
    return rows, -(-count // rows)


def marginals(figure: FigureBase, ours: Arrays, baselines: Mapping[str, Arrays], names: Sequence[str]) -> list[Axes]:
    """One panel for each scalar in ``names``, in a figure or a subfigure."""
    rows, columns = panel_grid(len(names))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    own, others = scalars(ours), [scalars(arrays) for arrays in baselines.values()]
    for axes, name in zip(panels, names, strict=False):
        marginal(axes, name, own[name], [draws.get(name) for draws in others])
    for axes in panels[len(names) :]:
        axes.set_axis_off()
    return panels[: len(names)]
