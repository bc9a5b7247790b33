"""Numbers as a page or a terminal shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amortized.diagnostics.comparison import Moments
from amortized.report.contents import Contents
from amortized.weights import Estimate

APART = 0.2
"""Standard deviations between two means from which a difference is marked."""


@dataclass(frozen=True)
class Row:
    """One scalar by one method, as text; ``apart``: its mean is over 0.2 sd away from the guide's."""

    method: str
    cells: Sequence[str]
    apart: bool = False


def numbers(mean: float, sd: float, *others: float) -> list[str]:
    """As many decimals as show three digits of ``sd``.

    >>> numbers(4.39721, 3.2518), numbers(-0.0012345, 0.0004321), numbers(40123.4, 12000.0)
    (['4.40', '3.25'], ['-0.001234', '0.000432'], ['40123', '12000'])
    """
    decimals = max(0, 2 - math.floor(math.log10(sd))) if 0 < sd < math.inf else math.inf
    return [f"{value:.{decimals}f}" if decimals < 10 else f"{value:.3e}" for value in (mean, sd, *others)]


def attribute(value: float | int | str) -> str:
    """Floats below 100 with three decimals, larger ones with none.

    >>> attribute(1.00123), attribute(1523.7), attribute(2)
    ('1.001', '1,524', '2')
    """
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)


def summary(by_method: Mapping[str, Sequence[Moments]]) -> dict[str, list[Row]]:
    """Rows of every scalar: mean, sd, 5, 50 and 95 %, and how many of its sd a baseline's mean is from the guide's."""
    found = {method: {row.name: row for row in rows} for method, rows in by_method.items()}
    _, *others = found
    table = {}
    for name, ours in next(iter(found.values())).items():
        table[name] = [Row("guide", [*numbers(ours.mean, ours.sd, *ours.quantiles), ""])]
        for method in others:
            theirs = found[method].get(name)
            if theirs is None:
                table[name].append(Row(method, ["–"] * 6))
                continue
            shift = (ours.mean - theirs.mean) / theirs.sd
            cells = [*numbers(theirs.mean, theirs.sd, *theirs.quantiles), f"{shift:+.3f}"]
            table[name].append(Row(method, cells, not abs(shift) <= APART))
    return table


def costs(contents: Contents) -> list[list[str]]:
    """One row a method: draws, seconds, density calls, log evidence, its error, and what the method says of itself."""
    table = []
    for method, draws in contents.methods().items():
        ours = method == "guide"
        evidence = contents.diagnosis.log_evidence if ours else draws.log_evidence
        table.append(
            [
                method,
                f"{len(draws):,}",
                f"{draws.seconds:.1f}" if draws.seconds else "–",
                f"{draws.target_calls:,}" if draws.target_calls else "–",
                "–" if evidence is None else str(evidence),
                off(evidence, contents.truth),
                effective(contents) if ours else attributes(draws.attributes),
            ]
        )
    return table


def attributes(known: Mapping[str, float | int | str]) -> str:
    """All but the seed, which is not what a method found.

    >>> attributes({"rhat": 1.0009, "smallest_ess": 1796.2, "seed": 0})
    'rhat 1.001, smallest ess 1,796'
    """
    found = {name.replace("_", " "): attribute(value) for name, value in known.items() if name != "seed"}
    return ", ".join(f"{name} {value}" for name, value in found.items()) or "–"


def off(evidence: Estimate | None, truth: float | None) -> str:
    return "–" if evidence is None or truth is None else f"{evidence.value - truth:+.3f}"


def effective(contents: Contents) -> str:
    found = contents.diagnosis
    return f"effective draws {found.ess_fraction:.0%}, Pareto k-hat {found.khat:.2f}"
