"""How far draws lie from a density whose score is known; no exact draws and no normalization are needed."""

from __future__ import annotations

import math

import torch

from amortized._types import Tensor

ENTRIES = 4_000_000
"""Entries of one block of the pairwise matrix: 32 MB, of which a few exist at a time."""


def stein_discrepancy(draws: Tensor, scores: Tensor, scale: float = 1.0) -> float:
    """``KSD = (mean over i, j of u(x_i, x_j))^½`` with the inverse multiquadric kernel ``k = (c² + |x − y|²)^(−½)``.

    ``u = s(x)·s(y) k + s(x)·∇_y k + s(y)·∇_x k + tr ∇_x ∇_y k`` with ``s = ∇ log R`` has mean zero under the target.
    This is the V-statistic, which is biased and never negative: exact draws give about ``stein_floor``, not 0. It
    hardly sees wrong weights of modes that lie far apart. Gorham and Mackey, arXiv 1703.01717.

    Args:
        draws: ``(N, D)``.
        scores: ``∇ log R`` at the draws, ``(N, D)``; give NaN, not 0, for a draw of density zero.
        scale: c, in the unit of the draws.

    Raises:
        ValueError: the shapes differ, or a value is not finite.

    >>> draws = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    >>> stein_discrepancy(draws, -draws) < 0.15 < stein_discrepancy(draws + 1, -(draws + 1))
    True
    """
    draws, scores = _checked(draws, scores, scale)
    # differences of draws alone matter; centred ones lose fewer digits in the products below
    draws = draws - draws.mean(0)
    along = (draws * scores).sum(-1)
    rows = max(1, ENTRIES // len(draws))
    total = torch.zeros((), dtype=torch.float64, device=draws.device)
    for start in range(0, len(draws), rows):
        part = slice(start, start + rows)
        squared = torch.cdist(draws[part], draws).square()
        kernel = (scale**2 + squared).rsqrt()
        mixed = along[part, None] + along - scores[part] @ draws.T - draws[part] @ scores.T
        slopes = (mixed + draws.shape[1]) * kernel**3 - 3 * squared * kernel**5
        total += ((scores[part] @ scores.T) * kernel + slopes).sum()
    return math.sqrt(max(float(total), 0.0)) / len(draws)


def stein_floor(scores: Tensor, scale: float = 1.0) -> float:
    """The discrepancy of N exact draws, about ``(mean u(x, x) / N)^½`` with ``u(x, x) = |s(x)|² / c + D / c³``.

    Args:
        scores: ``∇ log R`` at exact draws, ``(N, D)``.
        scale: c, in the unit of the draws.

    >>> round(stein_floor(torch.ones(100, 3)), 6)
    0.244949
    """
    diagonal = scores.double().square().sum(-1) / scale + scores.shape[1] / scale**3
    return math.sqrt(float(diagonal.mean()) / len(scores))


def _checked(draws: Tensor, scores: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """Both in float64."""
    if draws.shape != scores.shape or draws.ndim != 2:
        raise ValueError(f"scores: shape {tuple(scores.shape)}, draws {tuple(draws.shape)}; both should be (N, D)")
    undefined = int((~(draws.isfinite() & scores.isfinite())).any(-1).sum())
    if undefined:
        raise ValueError(f"draws and scores: {undefined} of {len(draws)} rows are not finite; leave these out")
    if not scale > 0:
        raise ValueError(f"scale: {scale}, should be positive; write stein_discrepancy(draws, scores, 1.0)")
    return draws.detach().double(), scores.detach().double()
