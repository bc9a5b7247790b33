"""The pictures of a page: each as SVG, with the same thing said in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from amortized import plots
from amortized.diagnostics.comparison import Arrays, Moments, scalars
from amortized.report.contents import Contents
from amortized.report.svg import for_page, inline

PANEL, WIDE, NARROW = (2.2, 1.5), (3.5, 2.5), 4.4
PAIRED, ENTRIES, SITES = 5, 40, 6
EM = 7.0
"""Widest that an inch of a picture becomes, in em of the page."""

Moment = Mapping[str, Sequence[Moments]]


@dataclass(frozen=True)
class Picture:
    """An ``<svg>``, what it shows in words, and the width in em at which its letters are as large as the page's."""

    svg: str
    label: str
    width: float


class Pictures:
    """Makes the pictures of one page, each with ids of its own."""

    def __init__(self, contents: Contents, by_method: Moment):
        self.contents, self.by_method = contents, by_method
        self.arrays = {method: draws.arrays() for method, draws in contents.methods().items()}
        self.ours = self.arrays["guide"]
        self.baselines = {name: arrays for name, arrays in self.arrays.items() if name != "guide"}
        self._number = count(1)

    def panel(self, size: tuple[float, float], label: str, draw: Callable[[Axes], Any]) -> Picture:
        return self.figure(size, label, lambda figure: draw(figure.add_subplot()))

    def figure(self, size: tuple[float, float], label: str, draw: Callable[[Figure], Any]) -> Picture:
        with for_page():
            figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))
            draw(figure)
            return Picture(inline(figure, label, f"f{next(self._number)}"), label, round(EM * size[0], 1))

    def marginals(self) -> list[Picture]:
        names = plots.chosen(self.ours, self.contents.deterministic)
        ours, *others = (scalars(arrays) for arrays in self.arrays.values())
        return [
            self.panel(
                PANEL,
                f"Marginal posterior of {name}: {self._in_words(name)}",
                lambda axes, name=name: plots.marginal(axes, name, ours[name], [draws.get(name) for draws in others]),
            )
            for name in names
        ]

    def _in_words(self, name: str) -> str:
        rows = ((method, row) for method, rows in self.by_method.items() for row in rows if row.name == name)
        return "; ".join(f"{method} mean {row.mean:.3g}, sd {row.sd:.3g}" for method, row in rows)

    def pairs(self) -> Picture | None:
        """None where there is but one scalar."""
        names = plots.chosen(self.ours, self.contents.deterministic)[:PAIRED]
        if len(names) < 2:
            return None
        label = f"Every two of {', '.join(names)} by {' and '.join(self.arrays)}. {correlated(self.ours, names)}"
        side = 1.25 * len(names) + 0.5
        return self.figure(
            (max(side, 3.4), max(side, 3.0)),
            label,
            lambda figure: plots.pairs(figure, self.ours, self.baselines, names),
        )

    def forests(self) -> list[Picture]:
        """One for each site of several scalars."""
        return [
            self.panel(
                (NARROW, 0.6 + len(names) * (0.12 + 0.09 * len(self.by_method))),
                f"5 to 95 % intervals of {', '.join(names)} by {' and '.join(self.by_method)}",
                lambda axes, names=names: plots.forest(axes, self.by_method, names),
            )
            for names in self._entries()
        ]

    def _entries(self) -> list[list[str]]:
        sites = sorted(self.ours, key=lambda site: site not in self.contents.deterministic)
        entries = (list(scalars({site: self.ours[site]}))[:ENTRIES] for site in sites)
        return [names for names in entries if len(names) > 1][:SITES]

    def training(self) -> list[Picture]:
        record, found = self.contents.training, self.contents.diagnosis
        if record is None:
            return []
        made: list[Picture] = []
        if record.evaluations:
            (_, first), (steps, last) = record.evaluations[0], record.evaluations[-1]
            label = (
                f"Bounds on the log evidence over {steps} steps: first {first.elbo:.2f} to {first.eubo:.2f}, "
                f"last {last.elbo:.2f} to {last.eubo:.2f}, estimate {found.log_evidence}"
            )
            draw = lambda axes: plots.bounds(axes, record.evaluations, found.log_evidence, self.contents.truth)  # noqa: E731
            made.append(self.panel(WIDE, label, draw))
            label = (
                f"Quality of the draws over {steps} steps: overlap from {first.overlap:.0%} to {last.overlap:.0%}, "
                f"effective fraction from {first.ess_fraction:.0%} to {last.ess_fraction:.0%}"
            )
            draw = lambda axes: plots.progress(axes, record.evaluations, self.contents.enough)  # noqa: E731
            made.append(self.panel(WIDE, label, draw))
        return [*made, *self._losses()]

    def _losses(self) -> Iterator[Picture]:
        record = self.contents.training
        assert record is not None
        stages = (
            ("loss, maximum likelihood", record.bridge_losses, 0),
            ("loss", record.losses, len(record.bridge_losses)),
        )
        for title, values, before in stages:
            if len(values) > 1:
                label = f"{title} over {len(values)} steps: from {values[0]:.3g} to {np.median(values[-20:]):.3g}"
                draw = lambda axes, v=values, t=title, b=before: plots.losses(axes, v, t, b + 1)  # noqa: E731
                yield self.panel(WIDE, label, draw)

    def weights(self) -> list[Picture]:
        found, log_weights = self.contents.diagnosis, self.contents.log_weights
        label = (
            f"Histogram of {len(log_weights):,} log weights relative to the log evidence: "
            f"effective draws {found.ess_fraction:.0%}, Pareto k-hat {found.khat:.2f}, sound below 0.7"
        )
        evidence = found.log_evidence
        if not np.isfinite(log_weights).any() or not np.isfinite(evidence.value):
            return []
        return [
            self.panel(
                WIDE, label, lambda axes: plots.weights(axes, log_weights, evidence, found.khat, found.ess_fraction)
            ),
            self.panel(
                WIDE,
                f"The largest weights and the Pareto law of shape {found.khat:.2f} that was fitted to them",
                lambda axes: plots.tail(axes, log_weights, found.khat),
            ),
        ]

    def predictive(self) -> list[Picture]:
        made = []
        for site, replicated in self.contents.replicated.items():
            observed = self.contents.observed[site]
            low, high = np.quantile(replicated, [0.05, 0.95], axis=0)
            inside = int(((observed >= low) & (observed <= high)).sum())
            label = f"{site}: {inside} of {observed.size} observations lie in their 90 % predictive interval"
            draw = lambda axes, o=observed, r=replicated, s=site: plots.predictive(axes, s, o, r)  # noqa: E731
            made.append(self.panel((4.4, 2.6), label, draw))
        return made

    def costs(self) -> list[Picture]:
        methods = self.contents.methods()
        seconds = {name: draws.seconds for name, draws in methods.items()}
        calls = {name: draws.target_calls for name, draws in methods.items()}
        size = (WIDE[0], 0.7 + 0.28 * len(seconds))
        return [
            self.panel(size, says(title, values), lambda axes, t=title, v=values: plots.costs(axes, t, v))
            for title, values in (("seconds", seconds), ("density calls", calls))
            if any(values.values())
        ]


def says(title: str, values: Mapping[str, float]) -> str:
    """
    >>> says("seconds", {"guide": 20.4, "nuts": 0.0})
    'seconds: guide 20, nuts not known'
    """
    parts = (f"{name} {f'{value:,.0f}' if value else 'not known'}" for name, value in values.items())
    return f"{title}: {', '.join(parts)}"


def correlated(arrays: Arrays, names: Sequence[str]) -> str:
    """The strongest correlation between two of ``names``, in words."""
    found = scalars(arrays)
    matrix = np.tril(np.corrcoef([found[name] for name in names]), -1)
    row, column = divmod(int(np.nanargmax(np.abs(matrix))), len(names))
    return f"The strongest correlation, {matrix[row, column]:.2f}, is between {names[column]} and {names[row]}"
