"""A broad Gaussian in unconstrained space: where tempering and nested sampling begin."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc import mala
from amortized.targets.base import Target
from amortized.targets.pyro.predictive import prior_predictive
from amortized.targets.pyro.target import PyroTarget
from amortized.warmup.modes import starts

PRIOR_DRAWS = 500
PILOT_CHAINS, PILOT_MOVES = 128, 300
INFLATION = 1.5
REACH = 5.0
"""Deviations from the prior's mean up to which nested sampling walks from it with ease."""

MIDDLE = 1.645
"""Deviations within which a Gaussian has 90 %."""


def broad_gaussian(target: Target, seed: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviations, ``(D,)`` each, float64, of a Gaussian that should cover the target.

    Those of the model's prior where it can be drawn from; else those of short MALA chains, each with its own step,
    from starts at four scales, their deviations half as much again. Both are of the middle 90 %, so that no far draw
    decides: half the distance between the quantiles 5 % and 95 %, over 1.645. The pilot's calls count as any others.
    Raises ``ValueError`` where no start has a finite density.
    """
    draws = prior_draws(target, seed)
    return pilot_gaussian(target, seed) if draws is None else middle(draws)


def covering_gaussian(target: Target, seed: int) -> tuple[Tensor, Tensor]:
    """``broad_gaussian``, moved and widened in coordinates where the posterior seems to lie far from the prior.

    There the middle 90 % of short chains from draws of the prior, half as wide again, leaves the prior's mean by over 5
    deviations, and the Gaussian covers both. Raises ``ValueError`` where no start has a finite density.
    """
    draws = prior_draws(target, seed)
    if draws is None:
        return pilot_gaussian(target, seed)
    return covering(middle(draws), pilot_gaussian(target, seed, draws))


def covering(prior: tuple[Tensor, Tensor], found: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and deviations ``(D,)`` of the Gaussian whose middle 90 % are those of both, where ``found`` is far."""
    (mean, deviation), (centre, scale) = prior, found
    far = (centre - mean).abs() + MIDDLE * scale > REACH * deviation
    low = torch.minimum(mean - MIDDLE * deviation, centre - MIDDLE * scale)
    high = torch.maximum(mean + MIDDLE * deviation, centre + MIDDLE * scale)
    return torch.where(far, (low + high) / 2, mean), torch.where(far, (high - low) / (2 * MIDDLE), deviation)


def pilot_gaussian(target: Target, seed: int, draws: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Mean and deviations ``(D,)`` of where short chains end, these half as much again."""
    mean, deviation = middle(pilot(target, torch.Generator(target.device).manual_seed(seed), draws))
    return mean, INFLATION * deviation


def prior_draws(target: Target, seed: int) -> Tensor | None:
    """Draws ``(500, D)`` of the prior in unconstrained space; None where there are none, or not all finite."""
    if not isinstance(target, PyroTarget):
        return None
    latents, _ = prior_predictive(target, PRIOR_DRAWS, seed)
    if not latents:
        return None
    x = target.unconstrain(latents)
    return x if bool(x.isfinite().all()) else None


def finite(target: Target, draws: Tensor | None) -> Tensor:
    """At most 128 of ``draws: (N, D)`` at which the density is finite."""
    if draws is None:
        return torch.empty(0, target.dim, dtype=target.dtype, device=target.device)
    x = draws[:PILOT_CHAINS].to(target.dtype)
    return x[target.log_prob(x).isfinite()]


@torch.no_grad()
def pilot(target: Target, generator: Generator, draws: Tensor | None = None) -> Tensor:
    """Ends ``(N, D)`` of at most 128 short chains, without those that still lie ``15 + 2 D`` nats under the highest.

    They start from ``draws: (N, D)`` where the density of any is finite, else at four scales around the origin. Each
    has a step of its own, since starts may lie where the density is steep: the ends are no exact draws, and only say
    where a base for tempering should lie.
    """
    x = finite(target, draws)
    if len(x) == 0:
        x = starts(target, PILOT_CHAINS, generator).to(target.dtype)
    step_size = torch.full((len(x),), 0.1, dtype=target.dtype, device=target.device)
    state, _, _ = mala.run(target.log_prob_and_score, mala.init(target, x), PILOT_MOVES, step_size, generator)
    return state.x[state.log_prob > state.log_prob.max() - (15 + 2 * target.dim)]


def middle(x: Tensor) -> tuple[Tensor, Tensor]:
    """Centre and scale ``(D,)`` of ``x: (N, D)``, of its middle 90 %."""
    levels = torch.tensor([0.05, 0.95], dtype=torch.float64, device=x.device)
    low, high = x.double().quantile(levels, dim=0)
    return (low + high) / 2, ((high - low) / (2 * MIDDLE)).clamp(min=1e-6)
