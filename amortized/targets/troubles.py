"""Evaluations of a density that went wrong, counted by kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch


class OutsideSupport(ValueError):
    """Raised by a model at values of its latents where its density is zero on purpose.

    Any other exception counts as a mistake of the model: ``fit`` counts it by kind and warns of it.
    ``pyro.factor("inside", torch.where(rate > 0, 0.0, -torch.inf))`` means the same and is a hundred times faster:
    a Python branch on a value runs for one particle after the other.

    >>> def model(rate):
    ...     if rate < 0:
    ...         raise OutsideSupport("the rate is negative")
    """


@dataclass
class Kind:
    """How many evaluations went wrong in one way, the detail of the first, and whether the model's own code raised."""

    count: int
    detail: str
    own: bool


@dataclass
class Troubles:
    """Counts of the ``evaluations`` that went wrong, by kind, with a detail of the first one of each kind.

    >>> troubles = Troubles()
    >>> troubles.evaluations += 200
    >>> troubles.raised(ZeroDivisionError("no rate"))
    >>> troubles.add("a log density of NaN", 3, lambda: "first at site 'y'")
    >>> troubles.sentences()[1], troubles.total
    ("a log density of NaN at 3 (1.5 %) of 200 points, first at site 'y'", 4)
    """

    evaluations: int = 0
    kinds: dict[str, Kind] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(kind.count for kind in self.kinds.values())

    def add(self, kind: str, count: int, detail: Callable[[], str], own: bool = False) -> None:
        """Counts evaluations that went wrong.

        Args:
            kind: Its name, as it stands in ``sentences()``.
            count: Number of evaluations.
            detail: Called at the first of the kind only, since it may run the model again.
            own: Whether the model's own code raised an exception.
        """
        if kind in self.kinds:
            self.kinds[kind].count += count
        else:
            self.kinds[kind] = Kind(count, detail(), own)

    def raised(self, error: Exception) -> None:
        """Counts one point at which the model raised ``error``, unless it is an ``OutsideSupport``.

        A failed matrix factorisation counts as numerical, not as the model's own exception.
        """
        if not isinstance(error, OutsideSupport):
            own = not isinstance(error, torch.linalg.LinAlgError)  # pyright: ignore
            self.add(class_name(error), 1, lambda: f"“{first_line(error)}”", own)

    def sentences(self, points: str = "points", only_own: bool = False) -> list[str]:
        """One sentence for each kind.

        Args:
            points: What an evaluation is called in the sentence.
            only_own: Leaves out kinds that are not exceptions of the model's own code.
        """
        return [
            f"{name} at {kind.count:,} ({percent(kind.count, self.evaluations)} %) of {self.evaluations:,} "
            + (f"{points}, {kind.detail}" if kind.detail else points)
            for name, kind in self.kinds.items()
            if kind.own or not only_own
        ]


def percent(count: int, total: int) -> str:
    """``count`` as a percentage of ``total``, with two digits.

    >>> percent(3, 3), percent(1, 8), percent(1, 300)
    ('100', '12', '0.33')
    """
    share = 100 * count / max(total, 1)
    return f"{share:.0f}" if share >= 10 else f"{share:.2g}"


def class_name(error: Exception) -> str:
    """The public name of an exception's class: torch's ``_LinAlgError`` is ``torch.linalg.LinAlgError``."""
    return type(error).__name__.removeprefix("_")


def first_line(error: Exception) -> str:
    """The first line of an exception's message; two lines if the first ends with a colon. Leaves out Pyro's shapes.

    >>> first_line(ValueError("at site 'y':\\nbad value\\nTrace Shapes:\\n Param Sites:"))
    "at site 'y': bad value"
    """
    lines = [line.strip() for line in str(error).split("Trace Shapes:")[0].splitlines() if line.strip()]
    return " ".join(lines[:2] if lines and lines[0].endswith(":") else lines[:1]) or "no message"
