"""The pictures of a page: each is drawn by a function of ``amortized.plots``, and said in words here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Concatenate, ParamSpec

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from amortized.diagnostics.comparison import Arrays, scalars
from amortized.plots.bars import costs, forest
from amortized.plots.marginals import marginal, scalars_to_show
from amortized.plots.pairs import pairs
from amortized.plots.predictive import predictive
from amortized.plots.training import bounds, losses, progress
from amortized.plots.weights import tail, weights
from amortized.report.contents import Contents
from amortized.report.svg import for_page, inline
from amortized.report.tables import weights_text

PANEL, WIDE, DATA = (2.2, 1.5), (3.5, 2.5), (4.4, 2.6)
"""Inches of a marginal, of a picture of training or weights, and of one of data."""

PAIRED, ENTRIES, SITES = 5, 40, 6
"""Scalars in pairs, entries of a site in a forest, and sites with a forest, at most: more could not be read."""

EM = 7.0
"""Width of an inch of a picture in em of the page, at which the letters of both have one size."""

P = ParamSpec("P")


@dataclass(frozen=True)
class Picture:
    """An ``<svg>``, what it shows in words, and its width in em of the page."""

    svg: str
    label: str
    width: float


class Pictures:
    """Makes the pictures of one page, each with ids of its own."""

    def __init__(self, contents: Contents):
        self.contents = contents
        guide, *others = contents.arrays
        self.ours = contents.arrays[guide]
        self.baselines = {method: contents.arrays[method] for method in others}
        self._number = count(1)

    def panel(
        self,
        size: tuple[float, float],
        label: str,
        draw: Callable[Concatenate[Axes, P], Axes],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Picture:
        """What ``draw`` draws into axes of ``size`` inches."""
        return self.figure(size, label, lambda figure: draw(figure.add_subplot(), *args, **kwargs))

    def figure(self, size: tuple[float, float], label: str, draw: Callable[[Figure], object]) -> Picture:
        """What ``draw`` draws into a figure of ``size`` inches."""
        with for_page():
            figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03))
            draw(figure)
            return Picture(inline(figure, label, f"f{next(self._number)}"), label, round(EM * size[0], 1))

    def marginals(self) -> list[Picture]:
        ours, others = scalars(self.ours), [scalars(arrays) for arrays in self.baselines.values()]
        return [
            self.panel(
                PANEL,
                f"Marginal posterior of {name}: {self._means(name)}",
                marginal,
                name,
                ours[name],
                [draws.get(name) for draws in others],
            )
            for name in scalars_to_show(self.ours, self.contents.deterministic)
        ]

    def _means(self, name: str) -> str:
        by_method = self.contents.descriptions.items()
        rows = ((method, row) for method, rows in by_method for row in rows if row.name == name)
        return "; ".join(f"{method} mean {row.mean:.3g}, sd {row.sd:.3g}" for method, row in rows)

    def pairs(self) -> Picture | None:
        """None if there is only one scalar."""
        names = scalars_to_show(self.ours, self.contents.deterministic)[:PAIRED]
        if len(names) < 2:
            return None
        methods = " and ".join(self.contents.arrays)
        label = f"Pairs of {', '.join(names)} by {methods}. {strongest_correlation(self.ours, names)}"
        side = 1.25 * len(names) + 0.5
        size = (max(side, 3.4), max(side, 3.0))
        return self.figure(size, label, lambda figure: pairs(figure, self.ours, self.baselines, names))

    def forests(self) -> list[Picture]:
        """One for each site of several scalars."""
        by_method = self.contents.descriptions
        sites = sorted(self.ours, key=lambda site: site not in self.contents.deterministic)
        entries = (list(scalars({site: self.ours[site]}))[:ENTRIES] for site in sites)
        return [
            self.panel(
                (DATA[0], 0.6 + len(names) * (0.12 + 0.09 * len(by_method))),
                f"5 to 95 % intervals of {', '.join(names)} by {' and '.join(by_method)}",
                forest,
                by_method,
                names,
            )
            for names in [names for names in entries if len(names) > 1][:SITES]
        ]

    def training(self) -> list[Picture]:
        record, found = self.contents.training, self.contents.diagnosis
        if record is None:
            return []
        made: list[Picture] = []
        if record.evaluations and record.evaluations[-1][0] > 0:  # else nothing was trained
            (_, first), (steps, last) = record.evaluations[0], record.evaluations[-1]
            label = (
                f"Bounds on the log evidence over {steps} steps: first {first.elbo:.2f} to {first.eubo:.2f}, "
                f"last {last.elbo:.2f} to {last.eubo:.2f}, estimate {found.log_evidence}"
            )
            made.append(self.panel(WIDE, label, bounds, record.evaluations, found.log_evidence, self.contents.truth))
            label = (
                f"Quality of the draws over {steps} steps: overlap from {first.overlap:.0%} to {last.overlap:.0%}, "
                f"effective fraction from {first.ess_fraction:.0%} to {last.ess_fraction:.0%}"
            )
            made.append(self.panel(WIDE, label, progress, record.evaluations, self.contents.enough))
        stages = (
            ("loss, maximum likelihood", record.bridge_losses, 1),
            ("loss", record.losses, 1 + len(record.bridge_losses)),
        )
        return [*made, *(self._loss(*stage) for stage in stages if len(stage[1]) > 1)]

    def _loss(self, title: str, values: Sequence[float], first: int) -> Picture:
        label = f"{title} over {len(values)} steps: from {values[0]:.3g} to {np.median(values[-20:]):.3g}"
        return self.panel(WIDE, label, losses, values, title, first)

    def weights(self) -> list[Picture]:
        found, log_weights = self.contents.diagnosis, self.contents.log_weights
        evidence = found.log_evidence
        if not np.isfinite(log_weights).any() or not np.isfinite(evidence.value):
            return []
        label = (
            f"Histogram of {len(log_weights):,} log weights relative to the log evidence: {weights_text(found)}, "
            "which should be under 0.7"
        )
        histogram = self.panel(WIDE, label, weights, log_weights, evidence, found.khat, found.ess_fraction)
        label = f"The largest weights, and the Pareto law of shape {found.khat:.2f} that was fitted to them"
        return [histogram, self.panel(WIDE, label, tail, log_weights, found.khat)]

    def predictive(self) -> list[Picture]:
        return list(self._predictive())

    def _predictive(self) -> Iterator[Picture]:
        for site, replicated in self.contents.replicated.items():
            observed = self.contents.observed[site]
            low, high = np.quantile(replicated, [0.05, 0.95], axis=0)
            inside = int(((observed >= low) & (observed <= high)).sum())
            label = f"{site}: {inside} of {observed.size} observations lie in their 90 % predictive interval"
            yield self.panel(DATA, label, predictive, site, observed, replicated)

    def costs(self) -> list[Picture]:
        methods = self.contents.methods()
        seconds = {name: draws.seconds for name, draws in methods.items()}
        calls = {name: float(draws.target_calls) for name, draws in methods.items()}
        size = (WIDE[0], 0.7 + 0.28 * len(methods))
        return [
            self.panel(size, costs_text(title, by_method), costs, title, by_method)
            for title, by_method in (("seconds", seconds), ("density calls", calls))
            if any(by_method.values())
        ]


def costs_text(title: str, by_method: Mapping[str, float]) -> str:
    """
    >>> costs_text("seconds", {"guide": 20.4, "nuts": 0.0})
    'seconds: guide 20, nuts not known'
    """
    parts = (f"{name} {f'{value:,.0f}' if value else 'not known'}" for name, value in by_method.items())
    return f"{title}: {', '.join(parts)}"


def strongest_correlation(arrays: Arrays, names: Sequence[str]) -> str:
    found = scalars(arrays)
    matrix = np.tril(np.corrcoef([found[name] for name in names]), -1)
    row, column = divmod(int(np.nanargmax(np.abs(matrix))), len(names))
    return f"The strongest correlation, {matrix[row, column]:.2f}, is between {names[column]} and {names[row]}"
