"""Whether chains agree with each other, and how many independent draws they are worth.

Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), arXiv 1903.08008. Chains are compared one by one. Averages over
groups of chains cannot show mass that a part of every group has missed.
"""

from __future__ import annotations

import math

import torch
from pyro.ops.stats import split_gelman_rubin

from amortized._types import Tensor

MOST_NUMBERS = 2_000_000
"""Numbers that are ranked at the most, which takes about half a second: of longer chains every k-th draw is taken."""

TAILS = (0.05, 0.95)
"""Levels of the quantiles whose effective sample size counts beside that of the ranks, as in ArviZ."""

SETTLED = 1.03
"""R-hat of the halves of each chain under which it stays where it is: see ``are_apart``."""

FEWEST = 4
"""Draws of a chain from which its halves have variances."""


def rank_normalized(x: Tensor) -> Tensor:
    """Normal scores of the pooled ranks of each coordinate: ``Φ⁻¹((rank − 3/8) / (N − 1/4))``; ``(C, N, D)``."""
    flat = x.flatten(0, 1).mT.contiguous()  # a sort along rows of memory is several times faster
    order = flat.argsort(-1)
    place = torch.arange(1, flat.shape[1] + 1, dtype=torch.float64, device=x.device).expand(flat.shape)
    rank = torch.empty_like(place, memory_format=torch.contiguous_format).scatter_(-1, order, place)
    score = (rank - 0.375) / (flat.shape[1] + 0.25)
    return (math.sqrt(2) * torch.erfinv(2 * score - 1)).mT.reshape(x.shape)


def rank_normalized_rhat(x: Tensor) -> float:
    """The largest split R-hat of a coordinate of chains ``(C, N, D)``: of ranks, and of ranks of distances.

    The second sees chains with the same centre and different widths. Infinite for fewer than four draws a chain, and
    where no chain has moved.

    >>> x = torch.randn(8, 100, 2, generator=torch.Generator().manual_seed(0))
    >>> rank_normalized_rhat(x) < 1.05 < rank_normalized_rhat(torch.cat([x, x + 3.0]))
    True
    """
    return float(rhats(x).nan_to_num(nan=math.inf).max())


def rhats(x: Tensor) -> Tensor:
    """That R-hat of each coordinate, ``(D,)``: infinite for fewer than four draws a chain, NaN where none has moved."""
    if x.shape[1] < FEWEST:
        return torch.full((x.shape[2],), math.inf, dtype=torch.float64)
    x = _thinned(x)
    folded = (x - x.flatten(0, 1).median(0).values).abs()
    return torch.stack([split_gelman_rubin(rank_normalized(each)) for each in (x, folded)]).max(0).values


def bulk_ess(x: Tensor) -> float:
    """The smallest effective sample size of a coordinate of chains ``(C, N, D)``, by ranks, of split chains.

    >>> x = torch.randn(8, 100, 2, generator=torch.Generator().manual_seed(0))
    >>> 400 < bulk_ess(x) < 1_600
    True
    """
    return _smallest(bulk_sizes(x))


def bulk_sizes(x: Tensor) -> Tensor:
    """That effective sample size of each coordinate, ``(D,)``; 0 for fewer than four draws a chain."""
    if x.shape[1] < FEWEST:
        return torch.zeros(x.shape[2], dtype=torch.float64)
    return _effective(rank_normalized(_split(_thinned(x))))


def mean_sizes(x: Tensor) -> Tensor:
    """The effective sample size ``(D,)`` that divides the variance of a mean: of the draws themselves, not of ranks."""
    if x.shape[1] < FEWEST:
        return torch.zeros(x.shape[2], dtype=torch.float64)
    return _effective(_split(_thinned(x).double()))


def tail_ess(x: Tensor) -> float:
    """The smallest effective sample size of a 5 or 95 % quantile of a coordinate of chains ``(C, N, D)``.

    It is that of the indicators of lying below: chains that seldom enter a tail know little of its mass, though their
    ranks mix (Vehtari et al. 2021).

    >>> x = torch.randn(8, 100, 2, generator=torch.Generator().manual_seed(0))
    >>> 400 < tail_ess(x) < 1_600
    True
    """
    return _smallest(tail_sizes(x))


def tail_sizes(x: Tensor) -> Tensor:
    """That effective sample size of each coordinate, ``(D,)``; 0 for fewer than four draws a chain."""
    if x.shape[1] < FEWEST:
        return torch.zeros(x.shape[2], dtype=torch.float64)
    x = _thinned(x)
    ordered = x.flatten(0, 1).sort(0).values
    places = (round(level * (len(ordered) - 1)) for level in TAILS)
    return torch.stack([_effective(_split((x <= ordered[place]).double())) for place in places]).min(0).values


def least_ess(x: Tensor) -> float:
    """The smaller of ``bulk_ess`` and ``tail_ess``: means and 5 and 95 % quantiles are known as well as it says."""
    return min(bulk_ess(x), tail_ess(x))


def agreement(x: Tensor, enough: float) -> tuple[float, float]:
    """R-hat and the effective sample size of chains ``(C, N, D)``; the second is 0 where R-hat is not below ``enough``.

    Ranks take time. They are only made where the R-hat without ranks is near ``enough`` already.
    """
    if x.shape[1] < FEWEST:
        return math.inf, 0.0
    plain = float(split_gelman_rubin(_thinned(x).double()).nan_to_num(nan=math.inf).max())
    rhat = plain if plain - 1 > 2 * (enough - 1) else rank_normalized_rhat(x)
    return rhat, least_ess(x) if rhat < enough else 0.0


def are_apart(x: Tensor, hopeless: float) -> bool:
    """Whether chains ``(C, N, D)`` stay in different places for ever: each agrees with itself, but not with the others.

    A chain's own R-hat compares its halves, on average over the chains. In the coordinate in which chains disagree most
    it was 1.01 in wells, and 1.09 or more where chains only mix slowly.

    >>> x = torch.randn(8, 100, 2, generator=torch.Generator().manual_seed(0))
    >>> are_apart(x, 1.3), are_apart(torch.cat([x, x + 3.0]), 1.3)
    (False, True)
    """
    if x.shape[1] < FEWEST or rank_normalized_rhat(x) <= hopeless:
        return False
    score = rank_normalized(_thinned(x))
    half = score.shape[1] // 2
    first, second = score[:, :half], score[:, score.shape[1] - half :]
    within = (first.var(1) + second.var(1)).mean(0) / 2
    own = (first.mean(1) - second.mean(1)).square().mean(0) / 2
    worst = (score.mean(1).var(0) / within).argmax()
    return bool((1 + own[worst] / within[worst]).sqrt() < SETTLED)


def drift(x: Tensor) -> float:
    """How far the chains ``(C, N, D)`` have moved together: a z-value, largest over coordinates.

    The mean of a chain's first quarter is compared with that of its last. Chains that start at draws of the target
    drift as far as chance does, about ``√(2 log D)``.
    """
    quarter = max(x.shape[1] // 4, 1)
    moved = (x[:, -quarter:].mean(1) - x[:, :quarter].mean(1)).double()
    z = moved.mean(0) / (moved.std(0) / math.sqrt(len(moved)))
    return float(z.abs().nan_to_num(nan=0.0).max())


def _thinned(x: Tensor) -> Tensor:
    stride = min(math.ceil(x.numel() / MOST_NUMBERS), x.shape[1] // FEWEST)
    return x[:, ::stride]


def _split(x: Tensor) -> Tensor:
    """Both halves of each chain ``(C, N, D)`` as chains of their own."""
    half = x.shape[1] // 2
    return torch.cat([x[:, :half], x[:, x.shape[1] - half :]])


def _smallest(sizes: Tensor) -> float:
    return float(sizes.nan_to_num(nan=0.0).min())


def _effective(x: Tensor) -> Tensor:
    """``M N / τ`` of each coordinate of M chains ``(M, N, D)``; τ sums autocorrelations of both kinds of variance.

    Pairs of neighbouring autocorrelations are summed until one is negative, and never rise (Geyer 1992).
    """
    chains, count, _ = x.shape
    means = x.mean(1)
    spectrum = torch.fft.rfft(x - means[:, None], n=2 * count, dim=1)
    covariance = torch.fft.irfft(spectrum.abs().square().mean(0), n=2 * count, dim=0)[:count] / count
    within = covariance[0] * count / (count - 1)
    total = within * (count - 1) / count + means.var(0)
    correlation = 1 - (within - covariance * count / (count - 1)) / total
    correlation[0] = 1
    pairs = correlation[: count - count % 2].unflatten(0, (-1, 2)).sum(1)
    positive = (pairs > 0).cumprod(0) * pairs
    tau = (2 * positive.cummin(0).values.sum(0) - 1).clamp(min=1 / math.log10(chains * count))
    return chains * count / tau
