"""Figures as a page or a terminal shows them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from amortized.diagnostics.comparison import Description, differences
from amortized.diagnostics.verdict import Diagnosis
from amortized.report.contents import Contents
from amortized.weights import Estimate

MARKED = 0.2
"""Standard deviations between two means from which the report marks them: a shift that a plot shows clearly."""

BEYOND = 3.0
"""Standard errors from which two log evidences are marked: by chance one pair in 370 is. 3.6 errors went unseen."""

PRINTED = 5e-4
"""Half of the last printed digit: a truth in a file is rounded to it."""

UNKNOWN = "–"
"""A figure that a method does not have."""


@dataclass(frozen=True)
class Row:
    """One scalar by one method, as text; ``differs``: its mean is over 0.2 sd away from the guide's."""

    method: str
    cells: Sequence[str]
    differs: bool = False


class CostRow(NamedTuple):
    """What one method cost and found, as text; ``difference``: its log evidence minus the truth."""

    method: str
    draws: str
    seconds: str
    target_calls: str
    log_evidence: str
    difference: str
    remarks: str


def summary(by_method: Mapping[str, Sequence[Description]]) -> dict[str, list[Row]]:
    """Rows of every scalar: mean, sd, 5, 50 and 95 %, and how many of its sd a method's mean is from the guide's."""
    (guide, ours), *others = by_method.items()
    table = {row.name: [Row(guide, [*row.texts, ""])] for row in ours}
    for method, theirs in others:
        found = {row.name: row for row in differences(ours, theirs)}
        for name, rows in table.items():
            if name in found:
                shift = found[name].shift
                cells = [*found[name].reference.texts, f"{shift:+.3f}"]
                rows.append(Row(method, cells, not abs(shift) <= MARKED))
            else:
                rows.append(Row(method, [UNKNOWN] * 6))
    return table


def cost_rows(contents: Contents) -> list[CostRow]:
    """One row a method, the guide first."""
    table = []
    for method, draws in contents.methods().items():
        is_guide = draws is contents.draws
        evidence = contents.diagnosis.log_evidence if is_guide else draws.log_evidence
        table.append(
            CostRow(
                method,
                draws=f"{len(draws):,}",
                seconds=f"{draws.seconds:.1f}" if draws.seconds else UNKNOWN,
                target_calls=f"{draws.target_calls:,}" if draws.target_calls else UNKNOWN,
                log_evidence=evidence_text(evidence, contents.diagnosis.log_evidence),
                difference=difference_from(evidence, contents.truth),
                remarks=weights_text(contents.diagnosis) if is_guide else attributes(draws.attributes),
            )
        )
    return table


def attribute(value: float | int | str) -> str:
    """Floats below 100 with three decimals, larger ones with none.

    >>> attribute(1.00123), attribute(1523.7), attribute(2)
    ('1.001', '1,524', '2')
    """
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)


def attributes(known: Mapping[str, float | int | str]) -> str:
    """All but the seed, which a method did not find.

    >>> attributes({"rhat": 1.0009, "smallest_ess": 1796.2, "seed": 0})
    'rhat 1.001, smallest ess 1,796'
    """
    found = {name.replace("_", " "): attribute(value) for name, value in known.items() if name != "seed"}
    return ", ".join(f"{name} {value}" for name, value in found.items()) or UNKNOWN


def difference_from(evidence: Estimate | None, truth: float | None) -> str:
    """The log evidence minus the truth, in nats; marked where it is over three standard errors.

    >>> difference_from(Estimate(1.0, 0.1), 0.9), difference_from(Estimate(1.0, 0.1), 0.5)
    ('+0.100', '+0.500 ◆')
    """
    if evidence is None or truth is None:
        return UNKNOWN
    return f"{evidence.value - truth:+.3f}" + mark(evidence, Estimate(truth, 0.0))


def evidence_text(evidence: Estimate | None, guide: Estimate) -> str:
    """The log evidence, marked where it is over three standard errors of both from the guide's."""
    return UNKNOWN if evidence is None else str(evidence) + mark(evidence, guide)


def mark(one: Estimate, other: Estimate) -> str:
    """`` ◆`` where two estimates differ by over three standard errors, and by more than is printed; else nothing."""
    error = max(math.hypot(one.std_error, other.std_error), PRINTED)
    return " ◆" if abs(one.value - other.value) > BEYOND * error else ""


def weights_text(diagnosis: Diagnosis) -> str:
    """What the weights say, or the chains, in a line."""
    if (chains := diagnosis.checks.chains) is not None:
        return f"draws of {chains}: R-hat {chains.rhat:.3f}, effective draws {chains.ess:,.0f}"
    return f"effective draws {diagnosis.ess_fraction:.0%}, Pareto k-hat {diagnosis.khat:.2f}"
