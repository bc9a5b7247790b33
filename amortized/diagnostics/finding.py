"""The result of one check, and the verdict and the advice that follow from a list of results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

TRUSTWORTHY, USABLE, UNTRUSTED = "trustworthy", "usable after resampling", "not to be trusted"
VERDICTS = (TRUSTWORTHY, USABLE, UNTRUSTED)
"""From the best to the worst."""

TONES = {TRUSTWORTHY: "good", USABLE: "fair", UNTRUSTED: "bad"}
"""How a verdict is coloured."""

NO_ACTION = "No action is needed. But no check can see a mode that no search has reached."
"""The advice if every check passed: a narrow mode can stay invisible (docs/results/blindness.md)."""

DRAWS, EVIDENCE, BOTH = "draws", "evidence", "both"
"""What a check can be about."""

NAMED = 2
"""Failed checks that the advice names; more would not be read, and the table shows them all."""


@dataclass(frozen=True)
class Finding:
    """The result of one check: one row of the printed diagnosis.

    Args:
        name: what was checked, as printed.
        value: what was found, as printed; an empty value hides the row.
        limit: what the value should be, as printed.
        passed: whether the value keeps the limit.
        sentence: what is wrong if the check failed, without a number, a capital or a full stop.
        advice: what to type if the check failed, one or two sentences.
        leaves: the best verdict that is still possible if the check failed.
        about: what the check judges: the draws, the log evidence, or both.
    """

    name: str
    value: str
    limit: str
    passed: bool
    sentence: str
    advice: str
    leaves: str = UNTRUSTED
    about: str = BOTH

    def __str__(self) -> str:
        return self.value if self.passed or not self.limit else f"{self.value}, should be {self.limit}"


def about(findings: Sequence[Finding], of: str) -> list[Finding]:
    """The findings about the draws, or about the log evidence; those about both are among them."""
    return [found for found in findings if found.about in (of, BOTH)]


def verdict(findings: Sequence[Finding]) -> str:
    """The worst verdict that a failed check leaves.

    >>> verdict([Finding("a", "1", "under 2", True, "", ""), Finding("b", "3", "under 2", False, "", "", USABLE)])
    'usable after resampling'
    """
    return max((found.leaves for found in findings if not found.passed), key=VERDICTS.index, default=TRUSTWORTHY)


def advice(findings: Sequence[Finding]) -> str:
    """Which checks decided, and what to do about the first of them.

    >>> advice([Finding("b", "3", "under 2", False, "b is large", "Write b=1.")])
    'B is large. Write b=1.'
    """
    decisive = [found for found in findings if not found.passed and found.leaves == verdict(findings)]
    if not decisive:
        return NO_ACTION
    reasons = "; ".join(found.sentence for found in decisive[:NAMED])
    more = f"; and {len(decisive) - NAMED} more, in the table" if len(decisive) > NAMED else ""
    return f"{reasons[0].upper()}{reasons[1:]}{more}. {decisive[0].advice}"
