"""Covariances from draws, without correlations that noise explains."""

from __future__ import annotations

import math

import torch

from amortized._types import Tensor
from amortized.mixtures.gaussian import safe_cholesky


def _joined(linked: Tensor) -> Tensor:
    """Which coordinates are connected through links, directly or not: ``(D, D)`` bool to ``(D, D)`` bool."""
    dim = linked.shape[0]
    label = torch.arange(dim, device=linked.device)
    while True:
        lowest = torch.where(linked, label, dim).amin(-1).minimum(label)
        if torch.equal(lowest, label):
            return label[:, None] == label
        label = lowest


def significant_scale_tril(x: Tensor, level: float = 0.01) -> Tensor:
    """A lower factor ``(D, D)`` of the covariance of draws, without correlations that noise explains.

    A correlation is significant where it exceeds its standard error, ``√(mean(u_i² u_j²) / (N/2))`` of standardized u,
    at a level that all pairs share. It is N/2, since draws of a chain are worth fewer than their number. Coordinates
    that significant correlations connect form a group; between groups the covariance is 0. All correlations stay
    where the rest has a larger mean square than noise. The robust standard error is that of Schäfer and Strimmer
    (2005), SAGMB 4(1).

    Args:
        x: draws ``(N, D)``.
        level: chance that noise alone makes any correlation significant.

    >>> x = torch.randn(500, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> x[:, 2] += x[:, 0]
    >>> (significant_scale_tril(x) != 0).long().tolist()
    [[1, 0, 0], [0, 1, 0], [1, 0, 1]]
    """
    count, dim = x.shape
    centred = x.double() - x.double().mean(0)
    sd = centred.square().mean(0).clamp(min=1e-300).sqrt()
    unit = centred / sd
    correlation = unit.mT @ unit / count
    squares = unit.square()
    variance = (squares.mT @ squares / count - correlation.square()).clamp(min=1e-12)
    z_square = correlation.square() / variance * (count / 2)
    pairs = max(dim * (dim - 1) / 2, 1.0)
    quantile = math.sqrt(2) * float(torch.erfinv(torch.tensor(1 - min(level / pairs, 1.0), dtype=torch.float64)))
    together = _joined((z_square > quantile**2) | torch.eye(dim, dtype=torch.bool, device=x.device))
    apart = int((~together).sum()) / 2
    if apart > 0 and float(z_square[~together].mean()) > 1 + 4 * math.sqrt(2 / apart):
        together = torch.ones_like(together)
    keep = 1 - dim / (dim + 10.0 * count) if dim > count else 1.0
    shrunk = torch.where(together, keep * correlation, 0.0).fill_diagonal_(1.0)
    return sd[:, None] * safe_cholesky(shrunk)
