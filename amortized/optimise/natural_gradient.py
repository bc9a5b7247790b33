"""The Gaussian mixture nearest to a density, by natural gradients of the reverse KL divergence."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import LogDensityAndScore
from amortized.mixtures.gaussian import GaussianMixture

LAST_RATE = 0.02
LARGEST_STEP = 0.5
LARGEST_SHRINKAGE, LARGEST_GROWTH = 1.4, 0.7
LARGEST_EXCESS = 50.0
LEAST_LOG_WEIGHT = -30.0
ENTRIES = 4_000_000


class Nearest(NamedTuple):
    """The ``mixture``, the ``steps`` that were made, and how many draws had no finite density or score."""

    mixture: GaussianMixture
    steps: int
    not_finite: int


@torch.no_grad()
def nearest_mixture(
    log_prob_and_score: LogDensityAndScore,
    initial: GaussianMixture,
    generator: Generator | None,
    steps: int = 500,
    draws: int = 32,
    rate: float = 0.2,
    seconds: float = math.inf,
) -> Nearest:
    """The mixture after ``steps`` natural gradients of ``KL(q ‖ R)``: weights, means and covariances at once.

    With ``h = log R − log q``, ε the coordinates that whiten component j, and β: ``C_j ← L_j (I − β E[∇²h])⁻¹ L_jᵀ``,
    ``m_j ← m_j + β C_j E[∇h]``, ``log w_j ← log w_j + β E[h]``, expectations over component j, the Hessian by Stein's
    identity ``E[∇²h] = E[ε ∇hᵀ]``. β falls from ``rate`` in a line, to 2 % of it, with the steps or, if these take over
    ``seconds`` of wall clock, with the time. A step costs ``draws`` calls a component, antithetic in pairs; it moves a
    mean by at most half a deviation and a variance by at most 43 %, so that covariances stay positive definite.
    A draw without finite density or score moves nothing, and counts as 50 nats too few.
    Arenz, Dahlinger, Ye, Volpp and Neumann, arXiv 2209.11533.

    >>> line = lambda x: (-0.5 * ((x - 5) / 0.1).square().sum(-1), -(x - 5) / 0.01)
    >>> start = GaussianMixture(torch.ones(1).double(), torch.zeros(1, 1).double(), torch.ones(1, 1, 1).double())
    >>> found = nearest_mixture(line, start, torch.Generator().manual_seed(0)).mixture
    >>> round(found.means.item(), 2), round(found.scale_trils.item(), 2)
    (5.0, 0.1)
    """
    log_weights, means, factors = initial.weights.log(), initial.means, initial.scale_trils
    like = {"dtype": means.dtype, "device": means.device}
    began, step, not_finite = time.perf_counter(), 0, 0
    while (done := max(step / steps, (time.perf_counter() - began) / seconds)) < 1:
        beta = rate * max(LAST_RATE, 1 - done)
        half = torch.randn(len(means), draws // 2, means.shape[1], generator=generator, **like)
        noise = torch.cat([half, -half], 1)
        flat = (means[:, None] + noise @ factors.mT).flatten(0, 1)
        value, score = log_prob_and_score(flat)
        own_value, own_score = _log_prob_and_score(log_weights, means, factors, flat)
        finite = value.isfinite() & score.isfinite().all(-1)
        not_finite += int((~finite).sum())
        excess = torch.where(finite, value - own_value, -LARGEST_EXCESS).reshape(noise.shape[:2])
        slope = torch.where(finite[:, None], score - own_score, 0.0).reshape(noise.shape) @ factors
        means, factors = _moved(means, factors, noise, slope, beta)
        log_weights = log_weights + beta * excess.clamp(-LARGEST_EXCESS, LARGEST_EXCESS).mean(1)
        log_weights = (log_weights - log_weights.logsumexp(0)).clamp(min=LEAST_LOG_WEIGHT)
        step += 1
    return Nearest(GaussianMixture(log_weights.softmax(0), means, factors), step, not_finite)


def _moved(means: Tensor, factors: Tensor, noise: Tensor, slope: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Means and lower factors after a step; ``slope: (M, S, D)`` is ``∇h`` in the coordinates of ``noise``."""
    curvature = noise.mT @ slope / noise.shape[1]
    identity = torch.eye(means.shape[1], dtype=means.dtype, device=means.device)
    values, vectors = torch.linalg.eigh(identity - 0.5 * beta * (curvature + curvature.mT))
    covariance = (vectors / values.clamp(LARGEST_GROWTH, LARGEST_SHRINKAGE)[:, None]) @ vectors.mT
    shift = beta * (covariance @ slope.mean(1)[..., None])
    shift = shift * (LARGEST_STEP / shift.norm(dim=1, keepdim=True).clamp(min=LARGEST_STEP))
    return means + (factors @ shift)[..., 0], factors @ torch.linalg.cholesky(covariance)


def _log_prob_and_score(log_weights: Tensor, means: Tensor, factors: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """As ``GaussianMixture.log_prob_and_score``, from precision matrices: faster, and less exact by some digits."""
    dim = means.shape[1]
    identity = torch.eye(dim, dtype=means.dtype, device=means.device)
    inverse = torch.linalg.solve_triangular(factors, identity, upper=False)
    precision = inverse.mT @ inverse
    linear = (precision @ means[..., None])[..., 0]
    log_det = factors.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    constant = log_weights - log_det - 0.5 * dim * math.log(2 * math.pi) - 0.5 * (means * linear).sum(-1)
    values, scores = [], []
    for piece in x.split(max(1, ENTRIES // dim**2)):
        squares = (piece[:, :, None] * piece[:, None]).flatten(1)
        joint = constant + piece @ linear.mT - 0.5 * squares @ precision.flatten(1).mT
        values.append(joint.logsumexp(-1))
        share = joint.softmax(-1)
        mean_precision = (share @ precision.flatten(1)).unflatten(1, (dim, dim))
        scores.append(share @ linear - (mean_precision @ piece[..., None])[..., 0])
    return torch.cat(values), torch.cat(scores)
