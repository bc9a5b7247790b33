"""The Gaussian nearest to a density around one of its optima, from averaged Hessians, in many dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import LogDensityAndScore
from amortized.optimise.gaussians import DIFFERENCE, LocalGaussians

CHUNK = 2048
"""Points of one call of the score: a Hessian of D dimensions needs 2 D of them, too many at once for a large D."""

BOUND_DRAWS = 32
"""Antithetic pairs of the bound. They stay the same in all rounds, so that bounds differ by the Gaussians alone."""

LAPLACE_STEPS = 2
"""Hessians at the optimum: the first is taken at a guessed length, the second at the length that the first finds."""

LEAST_RISE = 0.02
"""Nats by which the bound must rise for another round, which costs 2 D ``points`` calls."""

SMALLEST_CURVATURE, LARGEST_CURVATURE = 1e-6, 1e8
"""Bounds of the absolute curvature in a Gaussian's own coordinates where it is not positive definite."""


def _hessian(log_prob_and_score: LogDensityAndScore, points: Tensor, scale_tril: Tensor) -> Tensor:
    """``−Lᵀ ∇² log R L`` averaged over ``points: (M, D)``, from differences of the score at ±0.3 along each axis."""
    dim = points.shape[1]
    total = torch.zeros(dim, dim, dtype=points.dtype, device=points.device)
    for rows in torch.arange(dim, device=points.device).split(CHUNK // 2):
        offset = DIFFERENCE * scale_tril.mT[rows]
        for point in points:
            score = log_prob_and_score(torch.cat([point + offset, point - offset]))[1]
            total[rows] += (score[len(rows) :] - score[: len(rows)]) @ scale_tril / (2 * DIFFERENCE * len(points))
    return 0.5 * (total + total.mT)


def _factor_of_inverse(matrix: Tensor) -> Tensor:
    """Lower L with L Lᵀ = matrix⁻¹; directions of negative curvature keep its absolute value."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if int(failed) == 0 and bool(factor.isfinite().all()):
        return torch.linalg.cholesky(torch.cholesky_inverse(factor))
    values, vectors = torch.linalg.eigh(torch.where(matrix.isfinite(), matrix, 0.0))
    values = values.abs().clamp(SMALLEST_CURVATURE, LARGEST_CURVATURE)
    return torch.linalg.cholesky((vectors / values) @ vectors.mT)


def _bound(
    log_prob_and_score: LogDensityAndScore, mean: Tensor, scale_tril: Tensor, noise: Tensor
) -> tuple[float, Tensor]:
    """The bound and ``Lᵀ E[score]`` over ``mean + L noise`` for antithetic ``noise: (M, D)``."""
    value, score = log_prob_and_score(mean + noise @ scale_tril.mT)
    log_det = scale_tril.diagonal().log().sum()
    log_q = -0.5 * noise.square().sum(-1) - log_det - 0.5 * noise.shape[1] * math.log(2 * math.pi)
    elbo = float((value - log_q).mean())
    return elbo if math.isfinite(elbo) else -math.inf, scale_tril.mT @ score.mean(0)


@torch.no_grad()
def nearest_gaussian(
    log_prob_and_score: LogDensityAndScore,
    optimum: Tensor,
    scale: float,
    generator: Generator | None,
    rounds: int = 4,
    points: int = 8,
    stop: Callable[[], bool] = lambda: False,
) -> LocalGaussians:
    """One Gaussian: Laplace's at an optimum, then rounds that raise its bound ``E_q[log R − log q]``.

    At the highest bound ``E_q[score] = 0`` and ``C⁻¹ = −E_q[∇² log R]``. A round steps to both, with the Hessian
    averaged over its points and over the rounds so far, and the score over 64 draws. It counts where the bound rises.
    Opper and Archambeau (2009), Neural Computation 21.

    Args:
        log_prob_and_score: log R and its score, ``(B, D) -> (B,), (B, D)``.
        optimum: where Laplace's Gaussian stands, ``(D,)``.
        scale: a length at which the density changes, for the first differences.
        generator: source of randomness.
        rounds: most rounds after Laplace's.
        points: antithetic draws at which a round takes the Hessian; it costs 2 D ``points`` calls.
        stop: asked before each round.

    >>> bowl = lambda x: (-2.0 * (x - 3).square().sum(-1), -4.0 * (x - 3))
    >>> found = nearest_gaussian(bowl, torch.full((2,), 3.0, dtype=torch.float64), 1.0, None)
    >>> [round(number, 3) for number in found.scale_tril[0].diagonal().tolist()]
    [0.5, 0.5]
    """
    dim, like = len(optimum), {"dtype": optimum.dtype, "device": optimum.device}
    identity = torch.eye(dim, **like)
    mean, scale_tril = optimum, scale * identity
    for _ in range(LAPLACE_STEPS):
        scale_tril = scale_tril @ _factor_of_inverse(_hessian(log_prob_and_score, mean[None], scale_tril))
    half = torch.randn(BOUND_DRAWS, dim, generator=generator, **like)
    noise = torch.cat([half, -half])
    elbo, slope = _bound(log_prob_and_score, mean, scale_tril, noise)
    for count in range(1, rounds + 1):
        if stop():
            break
        half = torch.randn(points // 2, dim, generator=generator, **like)
        around = mean + torch.cat([half, -half]) @ scale_tril.mT
        hessian = _hessian(log_prob_and_score, around, scale_tril)
        factor = _factor_of_inverse(hessian / count + identity * (1 - 1 / count))
        new_mean, new_scale_tril = mean + scale_tril @ (factor @ (factor.mT @ slope)), scale_tril @ factor
        new_elbo, slope = _bound(log_prob_and_score, new_mean, new_scale_tril, noise)
        if new_elbo < elbo + LEAST_RISE:
            break
        mean, scale_tril, elbo = new_mean, new_scale_tril, new_elbo
    return LocalGaussians(mean[None], scale_tril[None], torch.tensor([elbo], dtype=torch.float64, device=mean.device))
