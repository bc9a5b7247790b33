"""The linear map that makes a target round for HMC, from draws and their scores."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from amortized._types import Tensor
from amortized.mixtures.gaussian import safe_cholesky

DENSE = 300
"""Dimensions up to which a metric is a full matrix: its products then cost less than most densities."""

MOST_VECTORS = 8
"""Above, a metric has at most D / 8 eigenvectors where these are enough: products with them cost a quarter of those
with a full matrix."""

ROUND_ENOUGH, NEAR_ONE = 1.5, 6.0
"""Eigenvalues between 1 / 1.5 and 1.5 are taken as 1: HMC's step changes by less than a quarter. Where others than
the kept lie outside 1/6 to 6, the matrix is full. A Gaussian of 1,000 dimensions with stds over three decades is such a
case: D / 8 eigenvectors left step sizes of 0.07. A product with the full matrix took no longer than the density."""

CLIP = 5.0
"""Robust standard deviations at which scores are clipped: a few giant ones, in a neck, would rule the covariance."""

SMALLEST = 1e-12
"""Least eigenvalue, relative to the largest."""

TINY = torch.finfo(torch.float64).tiny


@dataclass(frozen=True, eq=False)
class LowRank:
    """The matrix ``A = diag(s) (I + V diag(g) Vᵀ)`` with orthonormal columns V, for its products alone.

    Args:
        std: s, ``(D,)``.
        vectors: V, ``(D, r)``.
        gains: g, ``(r,)``; each is over -1.
    """

    std: Tensor
    vectors: Tensor
    gains: Tensor

    def times(self, rows: Tensor) -> Tensor:
        """``A p`` of rows p ``(B, D)``."""
        return (rows + ((rows @ self.vectors) * self.gains) @ self.vectors.mT) * self.std

    def transposed_times(self, rows: Tensor) -> Tensor:
        """``Aᵀ p`` of rows p ``(B, D)``."""
        rows = rows * self.std
        return rows + ((rows @ self.vectors) * self.gains) @ self.vectors.mT


Factor = Tensor | LowRank
"""A of an inverse mass matrix A Aᵀ: ``(D, D)``, its diagonal ``(D,)``, or of low rank."""


@dataclass(frozen=True, eq=False)
class Metric:
    """A factor A of an inverse mass matrix A Aᵀ, float64, and what it was made from.

    Args:
        name: what it was made from.
        factor: A.
    """

    name: str
    factor: Factor


def times(rows: Tensor, factor: Factor) -> Tensor:
    """``A p`` of rows p ``(B, D)``."""
    if isinstance(factor, LowRank):
        return factor.times(rows)
    return rows * factor if factor.ndim == 1 else rows @ factor.mT


def transposed_times(rows: Tensor, factor: Factor) -> Tensor:
    """``Aᵀ p`` of rows p ``(B, D)``."""
    if isinstance(factor, LowRank):
        return factor.transposed_times(rows)
    return rows * factor if factor.ndim == 1 else rows @ factor


def covariance_metric(x: Tensor) -> Metric:
    """From the covariance of draws ``(N, D)``, shrunk to its diagonal."""
    x = x.double()
    std = x.std(0).clamp(min=TINY)
    return Metric("covariance of the draws", _factor(std, _shrunk((x - x.mean(0)) / std)))


def geometric_metric(x: Tensor, score: Tensor) -> Metric:
    """From the geometric mean of the draws' covariance C and the inverse S⁻¹ of the scores' covariance.

        C # S⁻¹ = C^½ (C^½ S C^½)^−½ C^½

    Both are the covariance of a Gaussian target, and so is the mean, even of draws that are not the target's. Of
    another target, C overrates slow directions that few draws have crossed, and S⁻¹ underrates them. It has
    the least Fisher divergence from a Gaussian: Seyboldt, Carlson and Carpenter (2026), whose nutpie takes it too.

    Args:
        x: draws ``(N, D)``.
        score: ``∇ log R`` there, ``(N, D)``.
    """
    std, root = geometric_mean(x, score)
    return Metric("draws and scores", _factor(std, root @ root.mT))


def geometric_mean(x: Tensor, score: Tensor) -> tuple[Tensor, Tensor]:
    """``s`` and R ``(D, D)`` of the geometric mean ``diag(s) R Rᵀ diag(s)``, see ``geometric_metric``.

    With C = L Lᵀ and Lᵀ S L = V diag(λ) Vᵀ, R is ``L V diag(λ)^-¼``: one eigendecomposition.
    """
    x, score = x.double() - x.double().mean(0), _clipped(score.double())
    std = (x.square().mean(0) / score.square().mean(0).clamp(min=TINY)).pow(0.25).clamp(min=TINY)
    lower = safe_cholesky(_shrunk(x / std))
    values, vectors = torch.linalg.eigh(lower.mT @ _shrunk(score * std) @ lower)
    return std, lower @ (vectors * values.clamp(min=SMALLEST * float(values.max())).pow(-0.25))


def _factor(std: Tensor, matrix: Tensor) -> Factor:
    """A with A Aᵀ = ``diag(s) M diag(s)``; above 300 dimensions of few eigenvectors, if the others are near 1."""
    dim = len(std)
    if dim > DENSE:
        values, vectors = torch.linalg.eigh(matrix)
        values = values.clamp(min=SMALLEST * float(values.max()))
        size = values.log().abs()
        order = size.argsort(descending=True)
        kept, left = order[: dim // MOST_VECTORS], order[dim // MOST_VECTORS :]
        if float(size[left].max()) < math.log(NEAR_ONE):
            kept = kept[size[kept] > math.log(ROUND_ENOUGH)]
            return LowRank(std, vectors[:, kept].contiguous(), values[kept].sqrt() - 1)
    jitter = SMALLEST * float(matrix.diagonal().mean())
    return std[:, None] * safe_cholesky(matrix + jitter * torch.eye(dim).to(matrix))


def _clipped(score: Tensor) -> Tensor:
    """Scores around their median, clipped, without rows that are not finite."""
    score = score[score.isfinite().all(-1)]
    centre = score.median(0).values
    width = CLIP * 1.48 * (score - centre).abs().median(0).values  # 1.48 times it is the std of a Gaussian
    moved = (score - centre).maximum(-width).minimum(width)
    return moved - moved.mean(0)


def _shrunk(x: Tensor) -> Tensor:
    """The covariance of ``(N, D)``; of fewer than 2 D rows with a share D / (N + D) of its diagonal alone.

    Of more rows nothing is shrunk, or the geometric mean of strong correlations would not be exact.
    """
    count, dim = x.shape
    covariance = torch.cov(x.mT).reshape(dim, dim)
    share = 1.0 if count >= 2 * dim else count / (count + dim)
    return share * covariance + (1 - share) * covariance.diagonal().diag()
