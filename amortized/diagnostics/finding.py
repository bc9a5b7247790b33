"""One check of a diagnosis, and the verdict and the advice that a list of them adds up to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TRUSTWORTHY, USABLE, UNTRUSTED = "trustworthy", "usable after resampling", "not to be trusted"
VERDICTS = (TRUSTWORTHY, USABLE, UNTRUSTED)
"""From the best to the worst."""

INVISIBLE = "None needed. A mode that no start reached is invisible to every check here."
NAMED = 2
"""Failed checks that the advice names; the table shows them all."""


@dataclass(frozen=True)
class Finding:
    """One row of the table: what was found, what it should be, and what follows where it is not.

    ``name``, ``value`` and ``limit`` as they are printed, an empty value for a row that is not. ``sentence``: what is
    wrong, without a number, an end or a capital; ``advice``: one sentence on what to type. ``leaves``: the best verdict
    that is left where the check has not ``passed``.
    """

    name: str
    value: str
    limit: str
    passed: bool
    sentence: str
    advice: str
    leaves: str = UNTRUSTED

    def __str__(self) -> str:
        return self.value if self.passed or not self.limit else f"{self.value}, should be {self.limit}"


def verdict(findings: Sequence[Finding]) -> str:
    """The worst that a failed check leaves.

    >>> verdict([Finding("a", "1", "under 2", True, "", ""), Finding("b", "3", "under 2", False, "", "", USABLE)])
    'usable after resampling'
    """
    return max((found.leaves for found in findings if not found.passed), key=VERDICTS.index, default=TRUSTWORTHY)


def advice(findings: Sequence[Finding]) -> str:
    """Two sentences: which checks decided, and what to do about the first of them.

    >>> advice([Finding("b", "3", "under 2", False, "b is large", "Write b=1.")])
    'B is large. Write b=1.'
    """
    decided = [found for found in findings if not found.passed and found.leaves == verdict(findings)]
    if not decided:
        return INVISIBLE
    said = "; ".join(found.sentence for found in decided[:NAMED])
    more = f"; and {len(decided) - NAMED} more, in the table" if len(decided) > NAMED else ""
    return f"{said[0].upper()}{said[1:]}{more}. {decided[0].advice}"
