"""How results look where there are only letters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LINES = 15
"""Lines of a plain ``repr`` at most: a terminal keeps what was typed before it in sight."""
NAMES = 8
"""Sites that a plain ``repr`` names at most."""


def cut(text: str) -> str:
    """At most 15 lines of a text: the first ones, how many are left out, and the last, which sums up.

    >>> cut("\\n".join(map(str, range(40)))).split("\\n")[12:]
    ['12', '… 26 more lines: print(...) shows them', '39']
    """
    lines = text.split("\n")
    if len(lines) <= LINES:
        return text
    kept = LINES - 2
    more = f"… {len(lines) - kept - 1} more lines: print(...) shows them"
    return "\n".join([*lines[:kept], more, lines[-1]])


def shapes(sites: Mapping[str, Sequence[int]]) -> str:
    """Names of sites with the shapes of their values, the first eight.

    >>> shapes({"mu": (), "theta": (8,)})
    'mu, theta (8,)'
    """
    named = [name + (f" {tuple(shape)}" if len(shape) else "") for name, shape in sites.items()]
    more = [f"{len(named) - NAMES} more"] if len(named) > NAMES else []
    return ", ".join(named[:NAMES] + more)
