"""Gaussians that describe a density locally: their bounds, their Newton steps, and which of them are distinct."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import LogDensityAndScore
from amortized.mixtures.gaussian import safe_cholesky

DIFFERENCE = 0.3
"""Stds to either side of a point between which differences of the score give a Hessian: wide enough to average over
ripples of the density, and over the rounding of float32."""

LONGEST_NEWTON_STEP = 10.0
"""Stds a coordinate that a Newton step may move a mean: beyond, the curvature at the mean says nothing."""

SMALLEST_CURVATURE, LARGEST_CURVATURE = 1e-3, 1e8
"""Bounds of the curvature in a Gaussian's own coordinates, where 1 is right: a step widens it at most thirtyfold."""

DISTINCT = 0.25
"""Mean squared distance a coordinate, in variances, below which two Gaussians are one: half a std."""

LEAST_RISE = 0.02
"""Nats a dimension by which a bound must rise for another step: the loss from a variance 1.3 times the right one."""


NEAR = 10.0
"""Nats below the best bound within which a Gaussian is of use: beyond, it has under e⁻¹⁰ of the best one's mass."""


class LocalGaussians(NamedTuple):
    """S Gaussians, each with its bound on log Z.

    Args:
        mean: ``(S, D)``.
        scale_tril: ``(S, D, D)``, lower-triangular.
        elbo: ``E_q[log R − log q]``, ``(S,)`` in nats; -inf where there is no Gaussian.
    """

    mean: Tensor
    scale_tril: Tensor
    elbo: Tensor

    def take(self, rows: Tensor) -> LocalGaussians:
        """The Gaussians with the indices ``rows``, in that order."""
        return LocalGaussians(self.mean[rows], self.scale_tril[rows], self.elbo[rows])

    def better_of(self, other: LocalGaussians) -> LocalGaussians:
        """Row by row, the one with the higher bound."""
        wins = other.elbo > self.elbo
        return LocalGaussians(
            torch.where(wins[:, None], other.mean, self.mean),
            torch.where(wins[:, None, None], other.scale_tril, self.scale_tril),
            torch.where(wins, other.elbo, self.elbo),
        )

    def near(self, best: LocalGaussians) -> LocalGaussians:
        """Those within 10 nats of the highest bound in ``best``."""
        return self.take((self.elbo > best.elbo.max() - NEAR).nonzero()[:, 0])


def concatenated(*parts: LocalGaussians) -> LocalGaussians:
    """The Gaussians of all parts, one after the other."""
    return LocalGaussians(*(torch.cat(field) for field in zip(*parts, strict=True)))


def local_gaussians(
    log_prob: LogDensityAndScore, mean: Tensor, covariance: Tensor, generator: Generator | None, draws: int = 8
) -> LocalGaussians:
    """The Gaussians N(mean, covariance), each with a bound from ``draws`` Monte Carlo draws."""
    scale_tril = safe_cholesky(covariance)
    starts, dim = mean.shape
    noise = torch.randn(starts, draws, dim, generator=generator, dtype=mean.dtype, device=mean.device)
    x = mean[:, None] + noise @ scale_tril.mT
    value = log_prob(x.flatten(0, 1))[0].reshape(starts, draws)
    log_det = scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    log_q = -0.5 * noise.square().sum(-1) - log_det[:, None] - 0.5 * dim * math.log(2 * math.pi)
    elbo = (value - log_q).mean(-1)
    return LocalGaussians(mean, scale_tril, torch.where(elbo.isnan(), -torch.inf, elbo))


def _newton(
    log_prob_and_score: LogDensityAndScore, local: LocalGaussians, generator: Generator | None
) -> LocalGaussians:
    """One Newton step of each Gaussian, with the Hessian from differences of the score.

    Where the density is not concave, the absolute value of the curvature counts: the step still leads uphill.
    """
    starts, dim = local.mean.shape
    offset = DIFFERENCE * local.scale_tril.mT
    around = torch.stack([local.mean[:, None] + offset, local.mean[:, None] - offset], 1)
    score = log_prob_and_score(around.flatten(0, 2))[1].reshape(starts, 2, dim, dim) @ local.scale_tril[:, None]
    curvature = (score[:, 1] - score[:, 0]) / (2 * DIFFERENCE)
    curvature = torch.where(
        curvature.isfinite().all(-1).all(-1)[:, None, None], curvature, torch.eye(dim).to(curvature)
    )
    values, vectors = torch.linalg.eigh(0.5 * (curvature + curvature.mT))
    inverse = (vectors / values.abs().clamp(SMALLEST_CURVATURE, LARGEST_CURVATURE)[:, None]) @ vectors.mT
    slope = (log_prob_and_score(local.mean)[1][:, None] @ local.scale_tril)[:, 0]
    newton = (inverse @ slope[:, :, None])[..., 0]
    newton = newton / (newton.norm(dim=-1, keepdim=True) / (LONGEST_NEWTON_STEP * math.sqrt(dim))).clamp(min=1)
    mean = local.mean + (local.scale_tril @ newton[:, :, None])[..., 0]
    covariance = local.scale_tril @ inverse @ local.scale_tril.mT
    return local_gaussians(log_prob_and_score, mean, covariance, generator, draws=16)


def distinct(local: LocalGaussians) -> Tensor:
    """Indices, best first, of the Gaussians whose means lie over half a std a coordinate from every better one."""
    chosen: list[int] = []
    for index in local.elbo.argsort(descending=True).tolist():
        if not math.isfinite(float(local.elbo[index])):
            break
        gap = local.mean[index] - local.mean[chosen]
        white = torch.linalg.solve_triangular(local.scale_tril[chosen], gap[:, :, None], upper=False)[..., 0]
        if not bool((white.square().mean(-1) < DISTINCT).any()):
            chosen.append(index)
    return torch.tensor(chosen, dtype=torch.long, device=local.mean.device)


@torch.no_grad()
def refine(
    log_prob_and_score: LogDensityAndScore,
    local: LocalGaussians,
    generator: Generator | None,
    rounds: int = 8,
    stop: Callable[[], bool] = lambda: False,
) -> LocalGaussians:
    """Newton steps of every Gaussian in its own coordinates; the distinct ones, best first.

    A Gaussian is replaced where its bound rises. It rests once the rise is below 0.02 nats a dimension. A round costs
    2 D + 17 calls for each Gaussian that does not rest.

    Args:
        log_prob_and_score: the density, ``(B, D) -> (B,), (B, D)``.
        local: S Gaussians; of those that are not distinct the best stays.
        generator: source of randomness.
        rounds: most Newton steps; from the end of a BFGS run few are needed.
        stop: asked before each round.
    """
    local = local.take(distinct(local))
    going = torch.ones_like(local.elbo, dtype=torch.bool)
    for _ in range(rounds):
        if not bool(going.any()) or stop():
            break
        before = local.take(going.nonzero()[:, 0])
        best = before.better_of(_newton(log_prob_and_score, before, generator))
        for field, value in zip(local, best, strict=True):
            field[going] = value
        going[going.clone()] = local.elbo[going] > before.elbo + LEAST_RISE * local.mean.shape[1]
        rows = distinct(local)
        local, going = local.take(rows), going[rows]
    return local
