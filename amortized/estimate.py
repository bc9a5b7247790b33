"""A number and how far off it may be."""

from __future__ import annotations

from typing import NamedTuple


class Estimate(NamedTuple):
    """A number with its Monte Carlo standard error, both in the same unit (nats for a log evidence)."""

    value: float
    std_error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.std_error:.3f}"
