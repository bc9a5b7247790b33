"""Whether ranks are uniform: an exact test, and the band for their empirical distribution function."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

POINTS = 100
"""Cuts at most at which the distribution function is compared: the cost grows with their number."""

ROUNDING = 1e-9
"""Relative rounding error of a tail: without it the two equal tails of a symmetric law would differ."""


class Band(NamedTuple):
    """Bounds ``low ≤ R(z) ≤ high`` on the distribution function of the ranks at z; each ``(P,)``, from 0 to 1."""

    z: np.ndarray
    low: np.ndarray
    high: np.ndarray


class UniformRanks:
    """The law of N independent ranks that are uniform on 0 … L.

    The number of ranks below a cut c is binomial(N, c / (L + 1)). The statistic γ is the smallest two-sided binomial
    tail over all cuts. ``P(γ ≤ observed)`` is exact: the counts are a Poisson process given its total, so the
    probability of staying within bounds is a chain of convolutions. Säilynoja, Bürkner and Vehtari, arXiv 2103.10522.

    Args:
        count: N.
        draws: L.
    """

    def __init__(self, count: int, draws: int):
        self.count = count
        self.draws = draws
        self.cuts = np.unique(np.linspace(1, draws, min(draws, POINTS)).round().astype(int))
        self.z = self.cuts / (draws + 1)
        self.gaps = np.diff(self.cuts, prepend=0, append=draws + 1).tolist()

    @cached_property
    def tails(self) -> np.ndarray:
        """Two-sided tail probabilities of 0 … N ranks below each cut, ``(P, N + 1)``."""
        chances = binomial(self.count, self.z)
        return 2 * np.minimum(chances.cumsum(-1), chances[:, ::-1].cumsum(-1)[:, ::-1])

    @cached_property
    def arrivals(self) -> dict[int, np.ndarray]:
        """Poisson probabilities of 0 … N ranks between two cuts, by the distance between the cuts."""
        return {gap: poisson(self.count, self.count * gap / (self.draws + 1)) for gap in set(self.gaps)}

    def below(self, ranks: np.ndarray) -> np.ndarray:
        """The number of ``ranks: (N,)`` below each cut, ``(P,)``."""
        return np.searchsorted(np.sort(ranks), self.cuts)

    def bounds(self, gamma: float) -> tuple[np.ndarray, np.ndarray] | None:
        """Fewest and most ranks below each cut with tails above ``gamma``, ``(P,)``; None if a cut has none."""
        inside = self.tails > gamma * (1 + ROUNDING)
        if not inside.any(-1).all():
            return None
        return inside.argmax(-1), self.count - inside[:, ::-1].argmax(-1)

    def inside(self, gamma: float) -> float:
        """The probability that the tails at all cuts are larger than ``gamma``."""
        bounds = self.bounds(gamma)
        if bounds is None:
            return 0.0
        mass, lowest = np.ones(1), 0
        for gap, low, high in zip(self.gaps, *bounds, strict=False):
            kernel = self.arrivals[gap][: high - lowest + 1]
            mass, lowest = np.convolve(mass, kernel)[low - lowest : high - lowest + 1], low
        rest = self.arrivals[self.gaps[-1]][self.count - lowest - np.arange(len(mass))]
        return float(mass @ rest / poisson(self.count, self.count)[-1])

    def p_value(self, ranks: np.ndarray) -> float:
        """The probability of ranks that are as uneven as ``ranks: (N,)`` or more, if they are uniform.

        >>> round(UniformRanks(3, 1).p_value(np.array([0, 0, 0])), 6)
        0.25
        """
        observed = self.tails[np.arange(len(self.cuts)), self.below(ranks)].min()
        return max(1 - self.inside(observed), 0.0)

    def band(self, level: float) -> Band:
        """The narrowest band that holds the whole distribution function with a probability of at least ``level``.

        Ranks leave it if and only if their p-value is at most ``1 − level``.
        """
        gammas = np.unique(self.tails[self.tails <= 1 - level])
        largest, excluded = -1, len(gammas)
        while excluded - largest > 1:
            middle = (largest + excluded) // 2
            if self.inside(gammas[middle]) >= level:
                largest = middle
            else:
                excluded = middle
        bounds = self.bounds(gammas[largest] if largest >= 0 else 0.0)
        assert bounds is not None
        low, high = (np.concatenate([[0.0], bound / self.count, [1.0]]) for bound in bounds)
        return Band(np.concatenate([[0.0], self.z, [1.0]]), low, high)


def log_factorials(most: int) -> np.ndarray:
    """log k! for k = 0 … ``most``."""
    return np.log(np.maximum(np.arange(most + 1), 1)).cumsum()


def binomial(count: int, z: np.ndarray) -> np.ndarray:
    """Probabilities of 0 … N successes in N trials, for each chance of success ``z: (P,)`` in (0, 1): ``(P, N + 1)``.

    >>> binomial(2, np.array([0.5])).round(6).tolist()
    [[0.25, 0.5, 0.25]]
    """
    ways, successes, z = log_factorials(count), np.arange(count + 1), z[:, None]
    return np.exp(ways[-1] - ways - ways[::-1] + successes * np.log(z) + (count - successes) * np.log1p(-z))


def poisson(most: int, mean: float) -> np.ndarray:
    """Probabilities of 0 … ``most`` events, of which ``mean`` are expected.

    >>> poisson(2, 1.0).round(6).tolist()
    [0.367879, 0.367879, 0.18394]
    """
    return np.exp(np.arange(most + 1) * np.log(mean) - mean - log_factorials(most))


@lru_cache(maxsize=8)
def uniform_ranks(count: int, draws: int) -> UniformRanks:
    """The same object for the same N and L, because its table of tails takes time."""
    return UniformRanks(count, draws)
