"""A broad Gaussian in unconstrained space: where tempering and nested sampling begin."""

from __future__ import annotations

from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc import mala
from amortized.mixtures.gaussian import GaussianMixture
from amortized.targets.base import Target
from amortized.targets.pyro.predictive import prior_predictive
from amortized.targets.pyro.target import PyroTarget
from amortized.warmup.starts import normal_starts

PRIOR_DRAWS = 500
"""A 5 % quantile of them is off by 0.1 std: enough for a Gaussian that need only cover."""

PILOT_CHAINS, PILOT_MOVES = 128, 300
"""Of the short chains: 300 moves, since each adapts a step size of its own on the way."""

FIRST_STEP_SIZE = 0.1
"""Of the chains; adaptation crosses decades in a few moves."""

INFLATION = 1.5
"""Factor of the stds of the chains' ends, which have not been everywhere yet."""

LEAST, LEAST_A_DIMENSION = 15, 2
"""Nats below the highest end, and more of them a dimension, from which an end is left out: a chain that got stuck."""

REACH = 5.0
"""Stds from the prior's mean up to which nested sampling walks from it with ease."""

MIDDLE = 1.645
"""Stds within which a Gaussian has 90 %."""

SMALLEST_STD = 1e-6
"""Std of a coordinate in which all draws agree."""


class DiagonalGaussian(NamedTuple):
    """``N(mean, diag(std²))`` with ``mean: (D,)`` and ``std: (D,)``, float64."""

    mean: Tensor
    std: Tensor

    def mixture(self, dtype: torch.dtype) -> GaussianMixture:
        """The same as a mixture of one component."""
        mean, std = self.mean.to(dtype), self.std.to(dtype)
        return GaussianMixture(torch.ones_like(mean[:1]), mean[None], std.diag()[None])


def broad_gaussian(target: Target, seed: int) -> DiagonalGaussian:
    """A Gaussian that should cover the target: of the model's prior, else of short MALA chains.

    Mean and std are those of the middle 90 %, so that no far draw decides. The calls of the chains count as any others.

    Raises:
        ValueError: where no start has a finite density.
    """
    draws = prior_draws(target, seed)
    return pilot_gaussian(target, seed) if draws is None else middle(draws)


def covering_gaussian(target: Target, seed: int) -> DiagonalGaussian:
    """``broad_gaussian``, moved and widened in coordinates where the posterior seems to lie far from the prior.

    It is far where the middle 90 % of short chains from draws of the prior leaves the prior's mean by over 5 stds.
    There the Gaussian covers both.

    Raises:
        ValueError: where no start has a finite density.
    """
    draws = prior_draws(target, seed)
    if draws is None:
        return pilot_gaussian(target, seed)
    return covering(middle(draws), pilot_gaussian(target, seed, draws))


def covering(prior: DiagonalGaussian, found: DiagonalGaussian) -> DiagonalGaussian:
    """The prior or, where ``found`` is far from it, the Gaussian whose middle 90 % spans those of both."""
    far = (found.mean - prior.mean).abs() + MIDDLE * found.std > REACH * prior.std
    low = torch.minimum(prior.mean - MIDDLE * prior.std, found.mean - MIDDLE * found.std)
    high = torch.maximum(prior.mean + MIDDLE * prior.std, found.mean + MIDDLE * found.std)
    mean = torch.where(far, (low + high) / 2, prior.mean)
    return DiagonalGaussian(mean, torch.where(far, (high - low) / (2 * MIDDLE), prior.std))


def pilot_gaussian(target: Target, seed: int, draws: Tensor | None = None) -> DiagonalGaussian:
    """The Gaussian of the ends of short chains, half as wide again."""
    found = middle(pilot(target, torch.Generator(target.device).manual_seed(seed), draws))
    return DiagonalGaussian(found.mean, INFLATION * found.std)


def prior_draws(target: Target, seed: int) -> Tensor | None:
    """Draws ``(500, D)`` of the prior in unconstrained space; None where there are none, or not all finite."""
    if not isinstance(target, PyroTarget):
        return None
    latents, _ = prior_predictive(target, PRIOR_DRAWS, seed)
    if not latents:
        return None
    x = target.unconstrain(latents)
    return x if bool(x.isfinite().all()) else None


def _with_finite_density(target: Target, draws: Tensor | None) -> Tensor:
    """At most 128 of ``draws: (N, D)`` at which the density is finite."""
    if draws is None:
        return torch.empty(0, target.dim, dtype=target.dtype, device=target.device)
    x = draws[:PILOT_CHAINS].to(target.dtype)
    return x[target.log_prob(x).isfinite()]


@torch.no_grad()
def pilot(target: Target, generator: Generator, draws: Tensor | None = None) -> Tensor:
    """Ends ``(N, D)`` of at most 128 short chains, without those that lie far below the highest.

    They start from ``draws: (N, D)`` where the density of any is finite, else at four scales around the origin. Each
    has a step size of its own, since starts may lie where the density is steep. So the ends are no exact draws, and
    only say where a base for tempering should lie.
    """
    x = _with_finite_density(target, draws)
    if len(x) == 0:
        x = normal_starts(target, PILOT_CHAINS, generator).to(target.dtype)
    step_size = torch.full((len(x),), FIRST_STEP_SIZE, dtype=target.dtype, device=target.device)
    state, _, _ = mala.run(target.log_prob_and_score, mala.init(target, x), PILOT_MOVES, step_size, generator)
    return state.x[state.log_prob > state.log_prob.max() - (LEAST + LEAST_A_DIMENSION * target.dim)]


def middle(x: Tensor) -> DiagonalGaussian:
    """The Gaussian with the middle 90 % of ``x: (N, D)`` in every coordinate."""
    levels = torch.tensor([0.05, 0.95], dtype=torch.float64, device=x.device)
    low, high = x.double().quantile(levels, dim=0)
    return DiagonalGaussian((low + high) / 2, ((high - low) / (2 * MIDDLE)).clamp(min=SMALLEST_STD))
