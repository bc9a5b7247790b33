"""Whether chains agree with each other, and how many independent draws they are worth.

Vehtari, Gelman, Simpson, Carpenter and Bürkner (2021), arXiv 1903.08008. Chains are compared one by one. Averages over
groups of chains cannot show mass that a part of every group has missed.
"""

from __future__ import annotations

import math

import torch
from pyro.ops.stats import split_gelman_rubin

from amortized._types import Tensor


def rank_normalized(x: Tensor) -> Tensor:
    """Normal scores of the pooled ranks of each coordinate: ``Φ⁻¹((rank − 3/8) / (N − 1/4))``; ``(C, N, D)``."""
    flat = x.flatten(0, 1)
    rank = flat.argsort(0).argsort(0).to(torch.float64) + 1
    score = (rank - 0.375) / (len(flat) + 0.25)
    return (math.sqrt(2) * torch.erfinv(2 * score - 1)).reshape(x.shape)


def rank_normalized_rhat(x: Tensor) -> float:
    """The largest split R-hat of a coordinate of chains ``(C, N, D)``: of ranks, and of ranks of distances.

    The second sees chains with the same centre and different widths. A coordinate that no chain has moved in has none.

    >>> x = torch.randn(8, 100, 2, generator=torch.Generator().manual_seed(0))
    >>> rank_normalized_rhat(x) < 1.05 < rank_normalized_rhat(torch.cat([x, x + 3.0]))
    True
    """
    folded = (x - x.flatten(0, 1).median(0).values).abs()
    found = torch.stack([split_gelman_rubin(rank_normalized(each)) for each in (x, folded)])
    return float(found.nan_to_num(nan=math.inf).max())


def bulk_ess(x: Tensor) -> float:
    """The smallest effective sample size of a coordinate of chains ``(C, N, D)``, by ranks, of split chains.

    >>> x = torch.randn(8, 100, 2, generator=torch.Generator().manual_seed(0))
    >>> 400 < bulk_ess(x) < 1_600
    True
    """
    half = x.shape[1] // 2
    split = rank_normalized(torch.cat([x[:, :half], x[:, x.shape[1] - half :]]))
    return float(_effective(split).nan_to_num(nan=0.0).min())


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
