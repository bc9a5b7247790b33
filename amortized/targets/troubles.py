"""What goes wrong where a density is evaluated, counted by kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch


class OutsideSupport(ValueError):
    """What a model raises at values where it means its density to be zero.

    Any other exception counts as a mistake of the model, is counted by kind, and told after ``fit``.
    ``pyro.factor("inside", torch.where(rate > 0, 0.0, -torch.inf))`` says the same and is a hundred times faster,
    since a Python branch on a value has to be run for one particle after the other.

    >>> def model(rate):
    ...     if rate < 0:
    ...         raise OutsideSupport("the rate is negative")
    """


@dataclass
class _Kind:
    count: int
    detail: str
    own: bool


class Troubles:
    """How many of ``evaluations`` went wrong, by kind, each kind with a word on the first of them.

    >>> troubles = Troubles()
    >>> troubles.evaluations += 200
    >>> troubles.raised(ZeroDivisionError("no rate"))
    >>> troubles.add("a log density of NaN", 3, lambda: "first at site 'y'")
    >>> troubles.sentences()[1], troubles.total
    ("a log density of NaN at 3 (1.5 %) of 200 points, first at site 'y'", 4)
    """

    def __init__(self) -> None:
        self.evaluations = 0
        self.kinds: dict[str, _Kind] = {}

    @property
    def total(self) -> int:
        return sum(kind.count for kind in self.kinds.values())

    def add(self, kind: str, count: int, detail: Callable[[], str], own: bool = False) -> None:
        """``count`` more of a kind; ``detail()`` is asked at the first alone. ``own``: an exception of the model's."""
        if kind in self.kinds:
            self.kinds[kind].count += count
        else:
            self.kinds[kind] = _Kind(count, detail(), own)

    def raised(self, error: Exception) -> None:
        """One point at which the model raised ``error``; nothing where the model says so on purpose.

        That a matrix cannot be factored is numerical trouble and no exception of the model's own.
        """
        if not isinstance(error, OutsideSupport):
            own = not isinstance(error, torch.linalg.LinAlgError)  # pyright: ignore
            self.add(class_name(error), 1, lambda: f"“{first_line(error)}”", own)

    def sentences(self, points: str = "points", only_own: bool = False) -> list[str]:
        """One sentence for each kind; ``only_own``: for each kind of exception of the model's own."""
        return [
            f"{name} at {kind.count:,} ({percent(kind.count, self.evaluations)} %) of {self.evaluations:,} "
            + (f"{points}, {kind.detail}" if kind.detail else points)
            for name, kind in self.kinds.items()
            if kind.own or not only_own
        ]


def percent(count: int, total: int) -> str:
    """
    >>> percent(3, 3), percent(1, 8), percent(1, 300)
    ('100', '12', '0.33')
    """
    share = 100 * count / max(total, 1)
    return f"{share:.0f}" if share >= 10 else f"{share:.2g}"


def class_name(error: Exception) -> str:
    """The name by which a user knows an exception's class: torch's ``_LinAlgError`` is ``torch.linalg.LinAlgError``."""
    return type(error).__name__.removeprefix("_")


def first_line(error: Exception) -> str:
    """The first line of an exception's message, two where it ends with a colon, without Pyro's table of shapes.

    >>> first_line(ValueError("at site 'y':\\nbad value\\nTrace Shapes:\\n Param Sites:"))
    "at site 'y': bad value"
    """
    lines = [line.strip() for line in str(error).split("Trace Shapes:")[0].splitlines() if line.strip()]
    return " ".join(lines[:2] if lines and lines[0].endswith(":") else lines[:1]) or "no message"
