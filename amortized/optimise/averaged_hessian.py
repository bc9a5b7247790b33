"""The Gaussian nearest to a density around one of its tops, from averaged Hessians, in many dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import LogDensityAndScore

CHUNK = 2048
STEP = 0.3


class Gaussian(NamedTuple):
    """N(mean, scale_tril scale_trilᵀ) and its bound ``E[log R − log q]`` in nats; ``(D,)``, ``(D, D)``, a number."""

    mean: Tensor
    scale_tril: Tensor
    elbo: float


def _hessian(log_prob_and_score: LogDensityAndScore, points: Tensor, scale_tril: Tensor) -> Tensor:
    """``−Lᵀ ∇² log R L`` averaged over ``points: (M, D)``, from differences of the score at ±0.3 along each axis."""
    dim = points.shape[1]
    total = torch.zeros(dim, dim, dtype=points.dtype, device=points.device)
    for rows in torch.arange(dim, device=points.device).split(CHUNK // 2):
        offset = STEP * scale_tril.mT[rows]
        for point in points:
            score = log_prob_and_score(torch.cat([point + offset, point - offset]))[1]
            total[rows] += (score[len(rows) :] - score[: len(rows)]) @ scale_tril / (2 * STEP * len(points))
    return 0.5 * (total + total.mT)


def _factor_of_inverse(matrix: Tensor) -> Tensor:
    """Lower L with L Lᵀ = matrix⁻¹; directions of negative curvature keep its absolute value."""
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if int(failed) == 0 and bool(factor.isfinite().all()):
        return torch.linalg.cholesky(torch.cholesky_inverse(factor))
    values, vectors = torch.linalg.eigh(torch.where(matrix.isfinite(), matrix, 0.0))
    values = values.abs().clamp(min=1e-6, max=1e8)
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
    top: Tensor,
    scale: float,
    generator: Generator | None,
    rounds: int = 4,
    points: int = 8,
    stop: Callable[[], bool] = lambda: False,
) -> Gaussian:
    """Laplace's Gaussian at ``top: (D,)``, then rounds that raise ``E_q[log R − log q]``: ``(mean, scale_tril, elbo)``.

    At the maximum ``E_q[score] = 0`` and ``C⁻¹ = −E_q[∇² log R]``; a round steps to both, with the Hessian averaged at
    ``points`` antithetic draws and over the rounds so far, the score at 64, and is kept where the bound rises.
    ``scale``: a length at which the density changes, for the first differences. A round costs 2 D ``points`` calls.
    Opper and Archambeau (2009), Neural Computation 21.

    >>> bowl = lambda x: (-2.0 * (x - 3).square().sum(-1), -4.0 * (x - 3))
    >>> found = nearest_gaussian(bowl, torch.full((2,), 3.0, dtype=torch.float64), 1.0, None)
    >>> [round(number, 3) for number in found.scale_tril.diagonal().tolist()]
    [0.5, 0.5]
    """
    dim = len(top)
    scale_tril = scale * torch.eye(dim, dtype=top.dtype, device=top.device)
    for _ in range(2):
        scale_tril = scale_tril @ _factor_of_inverse(_hessian(log_prob_and_score, top[None], scale_tril))
    half = torch.randn(32, dim, generator=generator, dtype=top.dtype, device=top.device)
    noise = torch.cat([half, -half])
    elbo, slope = _bound(log_prob_and_score, top, scale_tril, noise)
    best = Gaussian(top, scale_tril, elbo)
    identity = torch.eye(dim, dtype=top.dtype, device=top.device)
    for count in range(1, rounds + 1):
        if stop():
            break
        half = torch.randn(points // 2, dim, generator=generator, dtype=top.dtype, device=top.device)
        around = best.mean + torch.cat([half, -half]) @ best.scale_tril.mT
        hessian = _hessian(log_prob_and_score, around, best.scale_tril)
        factor = _factor_of_inverse(hessian / count + identity * (1 - 1 / count))
        mean = best.mean + best.scale_tril @ (factor @ (factor.mT @ slope))
        elbo, slope = _bound(log_prob_and_score, mean, best.scale_tril @ factor, noise)
        if elbo < best.elbo + 0.02:
            break
        best = Gaussian(mean, best.scale_tril @ factor, elbo)
    return best
