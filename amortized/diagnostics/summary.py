"""Every scalar of a posterior in one row: mean, sd, an interval, and how well the draws know them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from amortized.diagnostics.comparison import aligned
from amortized.display import html
from amortized.display.text import cut

FOLDED, SHOWN = 10, 3
"""A site of more scalars than this is folded: its first three, then one row with the range of the others."""
UNKNOWN = "–"
"""A figure that these draws do not have."""


@dataclass(frozen=True)
class ScalarSummary:
    """One scalar.

    Args:
        site: Its site.
        name: The scalar under ArviZ's label.
        mean: In the parameter's unit, as are sd, low, high and mcse.
        sd: Standard deviation.
        low: Lower end of the interval.
        high: Upper end.
        mcse: Monte Carlo standard error of the mean; NaN where it is not known.
        ess_bulk: Effective sample size for the middle of the law; NaN where it is not known.
        ess_tail: That for 5 and 95 % quantiles.
        rhat: Largest split R-hat, rank-normalised; NaN without several chains or fits.
    """

    site: str
    name: str
    mean: float
    sd: float
    low: float
    high: float
    mcse: float
    ess_bulk: float
    ess_tail: float
    rhat: float

    @property
    def cells(self) -> list[str]:
        """The row as text, with three digits of the sd, and one more for the error.

        >>> ScalarSummary("mu", "mu", 4.39721, 3.2518, -1.0, 9.8, 0.0514, 3999.6, math.nan, math.nan).cells
        ['mu', '4.40', '3.25', '-1.00', '9.80', '0.051', '4,000', '–', '–']
        """
        own = 0 < self.sd < math.inf
        decimals = max(0, 2 - math.floor(math.log10(self.sd))) if own else 10
        plain = [f"{value:.{decimals}f}" if decimals < 10 else f"{value:.3e}" for value in self._in_unit]
        error = f"{self.mcse:.{decimals + 1}f}" if decimals < 9 else f"{self.mcse:.1e}"
        known = [_known(self.mcse, error), *(_known(size, f"{size:,.0f}") for size in (self.ess_bulk, self.ess_tail))]
        return [self.name, *plain, *known, _known(self.rhat, f"{self.rhat:.3f}")]

    @property
    def _in_unit(self) -> tuple[float, ...]:
        return self.mean, self.sd, self.low, self.high


def _known(value: float, text: str) -> str:
    return UNKNOWN if math.isnan(value) else text


@dataclass(frozen=True, repr=False)
class Summary:
    """A table of every scalar that varies; it prints and shows itself folded, and ``rows`` has all.

    Args:
        rows: One a scalar, in the order of the sites.
        interval: The heads of both ends of the interval, such as ``("HDI 5 %", "HDI 95 %")``.
        note: What the errors rest on, one sentence.
        deterministic: Sites that are functions of others; they stand below the latent ones.
    """

    rows: tuple[ScalarSummary, ...]
    interval: tuple[str, str]
    note: str
    deterministic: Collection[str] = ()

    def __getitem__(self, name: str) -> ScalarSummary:
        """The row of one scalar by its name, ``summary["theta[0]"]``."""
        return next(row for row in self.rows if row.name == name)

    @property
    def head(self) -> list[str]:
        return ["", "mean", "sd", *self.interval, "MCSE", "ESS bulk", "ESS tail", "R-hat"]

    def parts(self) -> dict[str, list[list[str]]]:
        """Folded rows of the latent sites, and of the deterministic ones under their title."""
        own = [row for row in self.rows if row.site not in self.deterministic]
        other = [row for row in self.rows if row.site in self.deterministic]
        parts = {"": list(folded(own)), "functions of the sites above": list(folded(other))}
        return {title: rows for title, rows in parts.items() if rows}

    def to_pandas(self) -> Any:
        """All rows as a pandas ``DataFrame`` with ArviZ's names of columns."""
        import pandas

        names = {"mcse": "mcse_mean", "rhat": "r_hat", "low": self.interval[0], "high": self.interval[1]}
        columns = ["mean", "sd", "low", "high", "mcse", "ess_bulk", "ess_tail", "rhat"]
        figures = [[getattr(row, column) for column in columns] for row in self.rows]
        index = [row.name for row in self.rows]
        return pandas.DataFrame(figures, index, [names.get(column, column) for column in columns])

    def __str__(self) -> str:
        parts = self.parts()
        lines = aligned([self.head, *(row for rows in parts.values() for row in rows)]).split("\n")
        text, start = [lines[0]], 1
        for title, rows in parts.items():
            text += [f"{title}:"] if title else []
            text += lines[start : start + len(rows)]
            start += len(rows)
        return "\n".join([*text, self.note])

    def __repr__(self) -> str:
        return cut(str(self))

    def _repr_html_(self) -> str:
        shown = [
            (html.paragraph(f"{title}:") if title else "") + html.table(self.head, rows)
            for title, rows in self.parts().items()
        ]
        return "".join([*shown, html.paragraph(self.note)])


def folded(rows: Sequence[ScalarSummary]) -> Iterator[list[str]]:
    """Rows as text; of a site with over ten scalars its first three, and a row with the range of the others."""
    for _, of_site in groupby(rows, lambda row: row.site):
        found = list(of_site)
        if len(found) <= FOLDED:
            yield from (row.cells for row in found)
        else:
            yield from (row.cells for row in found[:SHOWN])
            yield _range(found[SHOWN:])


def _range(rows: Sequence[ScalarSummary]) -> list[str]:
    """One row of many: from the smallest to the largest of each column, and the worst error, ESS and R-hat."""
    figures = list(zip(*((*row._in_unit, row.mcse, row.ess_bulk, row.ess_tail, row.rhat) for row in rows), strict=True))
    spans = [f"{min(column):.3g} … {max(column):.3g}" for column in figures[:4]]
    mcse, bulk, tail, rhat = figures[4:]
    worst = [f"≤ {max(mcse):.2g}", f"≥ {min(bulk):,.0f}", f"≥ {min(tail):,.0f}", f"≤ {max(rhat):.3f}"]
    known = [_known(column[0], text) for column, text in zip((mcse, bulk, tail, rhat), worst, strict=True)]
    return [f"{rows[0].site}, {len(rows):,} more", *spans, *known]
