"""The linear map that makes a target round for HMC, from draws and their scores."""

from __future__ import annotations

from typing import NamedTuple

import torch

from amortized._types import Tensor

DENSE = 300
"""Dimensions up to which a metric is a full matrix: its products then cost less than most densities."""

CLIP = 5.0
"""Robust standard deviations at which scores are clipped: a few giant ones, in a neck, would rule the covariance."""

SMALLEST = 1e-12
"""Least eigenvalue, relative to the largest."""


class Metric(NamedTuple):
    """A factor A of an inverse mass matrix A Aᵀ.

    Args:
        name: what it was made from.
        factor: A ``(D, D)``, or its diagonal ``(D,)``; float64.
    """

    name: str
    factor: Tensor


def covariance_metric(x: Tensor) -> Metric:
    """The Cholesky factor of the covariance of draws ``(N, D)``, shrunk to its diagonal; above 300 dimensions stds."""
    if x.shape[1] > DENSE:
        return Metric("standard deviations of the draws", x.double().std(0).clamp(min=torch.finfo(torch.float64).tiny))
    return Metric("covariance of the draws", _cholesky(_shrunk(x.double())))


def geometric_metric(x: Tensor, score: Tensor) -> Metric:
    """From the geometric mean of the draws' covariance C and the inverse S⁻¹ of the scores' covariance.

        C # S⁻¹ = C^½ (C^½ S C^½)^−½ C^½

    Both are the covariance of a Gaussian target. Of another one, C overrates slow directions that few draws have
    crossed, and S⁻¹ underrates them. Above 300 dimensions only the diagonals are taken.

    Args:
        x: draws ``(N, D)``.
        score: ``∇ log R`` there, ``(N, D)``.
    """
    x, score = x.double(), _clipped(score.double())
    if x.shape[1] > DENSE:
        ratio = x.var(0) / score.square().mean(0).clamp(min=torch.finfo(torch.float64).tiny)
        return Metric("draws and scores, one by one", ratio.pow(0.25).clamp(min=torch.finfo(torch.float64).tiny))
    root = _power(_shrunk(x), 0.5)
    return Metric("draws and scores", _cholesky(root @ _power(root @ _shrunk(score) @ root, -0.5) @ root))


def _clipped(score: Tensor) -> Tensor:
    """Scores around their median, clipped, without rows that are not finite."""
    score = score[score.isfinite().all(-1)]
    centre = score.median(0).values
    width = CLIP * 1.48 * (score - centre).abs().median(0).values  # 1.48 times it is the std of a Gaussian
    moved = (score - centre).maximum(-width).minimum(width)
    return moved - moved.mean(0)


def _shrunk(x: Tensor) -> Tensor:
    """The covariance of ``(N, D)``, with a share D / (N + D) of its diagonal alone."""
    count, dim = x.shape
    covariance = torch.cov(x.mT).reshape(dim, dim)
    share = count / (count + dim)
    return share * covariance + (1 - share) * covariance.diagonal().diag()


def _power(matrix: Tensor, power: float) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=SMALLEST * float(values.max())).pow(power)) @ vectors.mT


def _cholesky(matrix: Tensor) -> Tensor:
    jitter = SMALLEST * float(matrix.diagonal().mean())
    return torch.linalg.cholesky(0.5 * (matrix + matrix.mT) + jitter * torch.eye(len(matrix)).to(matrix))
