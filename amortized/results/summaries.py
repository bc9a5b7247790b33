"""The figures of a summary: moments and intervals of draws, and the Monte Carlo error that their origin gives them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from amortized.diagnostics.comparison import Arrays, label
from amortized.diagnostics.summary import ScalarSummary
from amortized.mcmc.convergence import MOST_NUMBERS, bulk_sizes, mean_sizes, rhats, tail_sizes

INTERVALS = ("hdi", "quantiles")
"""Kinds of interval: the narrowest one, or the one with equal tails."""


@dataclass(frozen=True)
class Origin:
    """How the draws of a summary depend on each other.

    Args:
        weights: ``(N,)``, of independent draws, with sum 1; None: the draws of one chain follow each other.
        compares: Whether chains are compared by R-hat, and their differences count as error.
        most: Effective draws at the most, where their method knows; else infinite.
        known: False: the draws were moved after resampling, and nothing says what they are worth.
    """

    weights: np.ndarray | None = None
    compares: bool = False
    most: float = math.inf
    known: bool = True


def check_interval(interval: str, mass: float) -> None:
    """Raises ``ValueError`` for an interval that is none."""
    if interval not in INTERVALS:
        raise ValueError(f"interval={interval!r}: write one of {', '.join(map(repr, INTERVALS))}")
    if not 0 < mass < 1:
        raise ValueError(f"mass={mass!r}: write a number between 0 and 1, for instance 0.9")


def repeats_merged(states: torch.Tensor) -> np.ndarray:
    """Weights ``(N,)`` of independent paths that were resampled: the first copy of a path stands for all of them.

    A mean of draws in which a path appears m times has the variance ``σ² Σ m² / N²``, if every path appears as often
    as its weight asks. While none appears twice, that is ``σ² / N``: systematic resampling then adds no error.

    >>> repeats_merged(torch.tensor([[1.0], [2.0], [1.0], [3.0]])).tolist()
    [0.5, 0.25, 0.0, 0.25]
    """
    _, inverse, counts = states[:, :32].unique(dim=0, return_inverse=True, return_counts=True)
    first = np.unique(inverse.cpu().numpy(), return_index=True)[1]
    weights = np.zeros(len(states))
    weights[first] = counts.cpu().numpy() / len(states)
    return weights


def scalar_summaries(arrays: Arrays, origin: Origin, interval: str, mass: float) -> tuple[ScalarSummary, ...]:
    """One row for each scalar that varies, in the order of the sites.

    Args:
        arrays: ``{site: (chains, draws, *event)}``.
        origin: How the draws depend on each other.
        interval: One of ``INTERVALS``.
        mass: Of the interval.
    """
    check_interval(interval, mass)
    rows = []
    for site, array in arrays.items():
        values = np.asarray(array, dtype=float).reshape(*array.shape[:2], -1)
        varies = np.flatnonzero(values.min((0, 1)) != values.max((0, 1)))
        names = [label(site, index) for index in np.ndindex(array.shape[2:])]
        columns = max(1, MOST_NUMBERS // (array.shape[0] * array.shape[1]))
        for start in range(0, len(varies), columns):
            some = varies[start : start + columns]
            figures = _figures(values[..., some], origin, interval, mass)
            rows += [
                ScalarSummary(site, names[place], *map(float, row)) for place, row in zip(some, figures.T, strict=True)
            ]
    return tuple(rows)


def _figures(values: np.ndarray, origin: Origin, interval: str, mass: float) -> np.ndarray:
    """``(8, E)`` of values ``(chains, draws, E)``: mean, sd, ends of the interval, MCSE, both ESS, R-hat."""
    flat = values.reshape(-1, values.shape[-1])
    weights = np.full(len(flat), 1 / len(flat)) if origin.weights is None else origin.weights
    mean = weights @ flat
    sd = np.sqrt(weights @ (flat - mean) ** 2)
    ends = np.stack([_interval(column, weights, interval, mass) for column in flat.T], 1)
    return np.stack([mean, sd, *ends, *_errors(values, weights, mean, sd, origin)])


def _errors(values: np.ndarray, weights: np.ndarray, mean: np.ndarray, sd: np.ndarray, origin: Origin) -> np.ndarray:
    """MCSE, ESS of middle and tails, and R-hat: ``(4, E)``."""
    chains, found = torch.from_numpy(values), np.full((4, values.shape[-1]), math.nan)
    if not origin.known:
        return found
    sizes = np.full((3, values.shape[-1]), origin.most)
    if origin.weights is None or origin.compares:
        of_chains = np.stack([size(chains).numpy() for size in (mean_sizes, bulk_sizes, tail_sizes)])
        sizes = np.minimum(sizes, of_chains)
    if origin.weights is not None:
        flat = values.reshape(-1, values.shape[-1])
        own = sd**2 / (weights**2 @ (flat - mean) ** 2)
        sizes = np.minimum(sizes, np.stack([own, *[np.full_like(own, 1 / (weights @ weights))] * 2]))
    found[0], found[1:3] = sd / np.sqrt(sizes[0]), sizes[1:]
    if origin.compares:
        found[3] = rhats(chains).numpy()
    return found


def _interval(values: np.ndarray, weights: np.ndarray, interval: str, mass: float) -> tuple[float, float]:
    """Both ends for weighted values ``(N,)``.

    >>> even = np.full(5, 0.2)
    >>> [_interval(np.array([9.0, 0.0, 1.0, 2.0, 3.0]), even, kind, 0.6) for kind in ("hdi", "quantiles")]
    [(0.0, 2.0), (0.0, 3.0)]
    """
    order = np.argsort(values)
    ordered, shares = values[order], weights[order]
    upper = np.cumsum(shares)
    if interval == "quantiles":
        low, high = np.searchsorted(upper, [(1 - mass) / 2 - 1e-9, (1 + mass) / 2 - 1e-9])
        return float(ordered[low]), float(ordered[min(high, len(ordered) - 1)])
    ends = np.searchsorted(upper, upper - shares + mass - 1e-9)
    starts = np.flatnonzero(ends < len(ordered))
    best = starts[np.argmin(ordered[ends[starts]] - ordered[starts])]
    return float(ordered[best]), float(ordered[ends[best]])


def interval_heads(interval: str, mass: float) -> tuple[str, str]:
    """
    >>> interval_heads("quantiles", 0.9), interval_heads("hdi", 0.94)
    (('5 %', '95 %'), ('HDI 94 % low', 'high'))
    """
    if interval == "hdi":
        return f"HDI {100 * mass:.3g} % low", "high"
    return f"{50 * (1 - mass):.3g} %", f"{50 * (1 + mass):.3g} %"


def note(count: int, chains: int, origin: Origin) -> str:
    """What the errors rest on, in a sentence."""
    if not origin.known:
        return f"{count:,} draws, moved after resampling: what they are worth is not known"
    if origin.weights is not None:
        worth = 1 / (origin.weights @ origin.weights)
        text = f"{count:,} draws of independent paths, worth {worth:,.0f} even ones"
        return text + (f"; R-hat compares {chains} fits" if origin.compares else "; one fit has no R-hat")
    words = "1 chain" if chains == 1 else f"{chains} chains"
    return f"{count:,} draws of {words}" + ("" if origin.compares else ", which has no R-hat")
