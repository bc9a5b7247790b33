"""How many of everything: what is too few is said before a run, not after it."""

from __future__ import annotations

from collections.abc import Mapping

DRAWS_OF_A_CHAIN = 4
"""The fewest whose halves R-hat can compare."""


def check_counts(counts: Mapping[str, tuple[int, int]]) -> None:
    """Raises ``ValueError`` for the first count below its least, each given as ``(count, least)`` under its name.

    >>> check_counts({"chains": (4, 1), "draws": (3, 4)})
    Traceback (most recent call last):
    ValueError: draws=3: write a whole number from 4, for instance draws=100
    """
    for name, (count, least) in counts.items():
        if count < least:
            raise ValueError(f"{name}={count}: write a whole number from {least}, for instance {name}=100")
