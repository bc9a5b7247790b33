"""Checks of counts: too few draws or chains raise before a run, not after it."""

from __future__ import annotations

from collections.abc import Mapping

DRAWS_OF_A_CHAIN = 4
"""Fewest draws of a chain: R-hat compares its halves, and needs a variance in each."""


def check_counts(counts: Mapping[str, tuple[int, int]]) -> None:
    """Raises ``ValueError`` for the first count below its least; ``counts`` maps a name to ``(count, least)``.

    >>> check_counts({"chains": (4, 1), "draws": (3, 4)})
    Traceback (most recent call last):
    ValueError: draws=3: write a whole number from 4, for instance draws=100
    """
    for name, (count, least) in counts.items():
        if count < least:
            raise ValueError(f"{name}={count}: write a whole number from {least}, for instance {name}=100")
