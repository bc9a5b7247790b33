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
"""The last learning rate over the first: late steps average the noise of early ones away."""

LARGEST_STEP = 0.5
"""Stds that a mean moves in one step at most: 32 draws of a component know the density no farther."""

LARGEST_PRECISION_RATIO, SMALLEST_PRECISION_RATIO = 1.4, 0.7
"""Bounds of a precision's change in one step: a variance grows by 43 % at most, and stays positive."""

LARGEST_EXCESS = 50.0
"""Nats of ``log R − log q`` that count at most in a weight's step, also for a draw without finite density."""

SMALLEST_LOG_WEIGHT = -30.0
"""A component this light is as good as gone, but can still come back."""

ENTRIES = 4_000_000
"""Products of coordinates held at a time: 32 MB in double precision."""


class Nearest(NamedTuple):
    """The ``mixture``, the number of ``steps`` made, and how many draws had no finite density or score."""

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
    """The mixture after natural gradient steps of ``KL(q ‖ R)`` in weights, means and covariances at once.

    With ``h = log R − log q``, the coordinates ε that whiten component j, and a rate β:
    ``C_j ← L_j (I − β E[∇²h])⁻¹ L_jᵀ``, ``m_j ← m_j + β C_j E[∇h]``, ``log w_j ← log w_j + β E[h]``.
    Expectations are over component j. The Hessian is Stein's ``E[∇²h] = E[ε ∇hᵀ]``. Steps are bounded, so that
    covariances stay positive definite. Arenz, Dahlinger, Ye, Volpp and Neumann, arXiv 2209.11533.

    Args:
        log_prob_and_score: log R and its score, ``(B, D) -> (B,), (B, D)``.
        initial: the mixture to start from.
        generator: source of randomness.
        steps: most steps.
        draws: calls a component and step, antithetic in pairs.
        rate: the first β. It falls linearly to 2 % of itself over the steps, or over ``seconds`` where these end first.
        seconds: wall clock for all steps.

    >>> line = lambda x: (-0.5 * ((x - 5) / 0.1).square().sum(-1), -(x - 5) / 0.01)
    >>> start = GaussianMixture(torch.ones(1).double(), torch.zeros(1, 1).double(), torch.ones(1, 1, 1).double())
    >>> found = nearest_mixture(line, start, torch.Generator().manual_seed(0)).mixture
    >>> round(found.means.item(), 2), round(found.scale_trils.item(), 2)
    (5.0, 0.1)
    """
    log_weights, means, factors = initial.weights.log(), initial.means, initial.scale_trils
    like = {"dtype": means.dtype, "device": means.device}
    began, step, not_finite = time.perf_counter(), 0, 0
    while (progress := max(step / steps, (time.perf_counter() - began) / seconds)) < 1:
        beta = rate * max(LAST_RATE, 1 - progress)
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
        log_weights = (log_weights - log_weights.logsumexp(0)).clamp(min=SMALLEST_LOG_WEIGHT)
        step += 1
    return Nearest(GaussianMixture(log_weights.softmax(0), means, factors), step, not_finite)


def _moved(means: Tensor, factors: Tensor, noise: Tensor, slope: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Means and lower factors after a step; ``slope: (M, S, D)`` is ``∇h`` in the coordinates of ``noise``."""
    curvature = noise.mT @ slope / noise.shape[1]
    identity = torch.eye(means.shape[1], dtype=means.dtype, device=means.device)
    values, vectors = torch.linalg.eigh(identity - 0.5 * beta * (curvature + curvature.mT))
    covariance = (vectors / values.clamp(SMALLEST_PRECISION_RATIO, LARGEST_PRECISION_RATIO)[:, None]) @ vectors.mT
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
