"""A broad Gaussian in unconstrained space: where tempering and nested sampling begin."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc import mala
from amortized.targets.base import Target
from amortized.targets.predictive import prior
from amortized.targets.pyro_model import PyroTarget
from amortized.warmup.modes import starts

PRIOR_DRAWS = 500
PILOT_CHAINS, PILOT_MOVES = 128, 300
INFLATION = 1.5


def broad_gaussian(target: Target, seed: int) -> tuple[Tensor, Tensor]:
    """Mean and standard deviations, ``(D,)`` each, float64, of a Gaussian that should cover the target.

    Those of the model's prior where it can be drawn from; else those of short MALA chains, each with its own step,
    from starts at four scales, their deviations half as much again. Both are of the middle 90 %, so that no far draw
    decides: half the distance between the quantiles 5 % and 95 %, over 1.645. The pilot's calls count as any others.
    Raises ``ValueError`` where no start has a finite density.
    """
    draws = prior_draws(target, seed)
    if draws is not None:
        return middle(draws)
    mean, deviation = middle(pilot(target, torch.Generator(target.device).manual_seed(seed)))
    return mean, INFLATION * deviation


def prior_draws(target: Target, seed: int) -> Tensor | None:
    """Draws ``(500, D)`` of the prior in unconstrained space; None where there are none, or not all finite."""
    if not isinstance(target, PyroTarget):
        return None
    latents, _ = prior(target, PRIOR_DRAWS, seed)
    if not latents:
        return None
    x = target.unconstrain(latents)
    return x if bool(x.isfinite().all()) else None


@torch.no_grad()
def pilot(target: Target, generator: Generator) -> Tensor:
    """Ends ``(N, D)`` of at most 128 short chains, without those that still lie ``15 + 2 D`` nats under the highest."""
    x = starts(target, PILOT_CHAINS, generator).to(target.dtype)
    step_size = torch.full((len(x),), 0.1, dtype=target.dtype, device=target.device)
    state, _, _ = mala.run(target.log_prob_and_score, mala.init(target, x), PILOT_MOVES, step_size, generator)
    return state.x[state.log_prob > state.log_prob.max() - (15 + 2 * target.dim)]


def middle(x: Tensor) -> tuple[Tensor, Tensor]:
    """Centre and scale ``(D,)`` of ``x: (N, D)``, of its middle 90 %."""
    levels = torch.tensor([0.05, 0.95], dtype=torch.float64, device=x.device)
    low, high = x.double().quantile(levels, dim=0)
    return (low + high) / 2, ((high - low) / (2 * 1.645)).clamp(min=1e-6)
