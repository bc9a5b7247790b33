"""The warm-up in hundreds of dimensions: one Gaussian from averaged Hessians, then HMC and products in its axes."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.many_chains import Chains
from amortized.mcmc.state import State, init
from amortized.mixtures.gaussian import GaussianMixture
from amortized.optimise.averaged_hessian import nearest_gaussian
from amortized.optimise.gaussians import DISTINCT, LocalGaussians
from amortized.optimise.lbfgs import ascend_lbfgs
from amortized.targets.base import Target
from amortized.targets.cost import is_expensive
from amortized.warmup.budget import Budget
from amortized.warmup.chains import FROM, MANY, SHARE, chains_within, from_chains
from amortized.warmup.checks import conclude_from_weights
from amortized.warmup.modes import in_float64, refuse_improper
from amortized.warmup.polish import LARGE, Polish
from amortized.warmup.record import WarmUp, recorded
from amortized.warmup.starts import normal_starts
from amortized.warmup.tempering import Tempering

STARTS, STARTS_IF_LARGE = 16, 4
"""Optimisation runs up to 500 dimensions, and above: L-BFGS holds 24 vectors a run."""

DRAWS_IF_LARGE = 1024
"""Most draws above 500 dimensions, where the moves of each cost most of the warm-up's time."""

FITTED = 2
"""Rows moved for each draw up to 100 dimensions: the product of 32 double wells then has twice the effective draws.
At 128 dimensions more rounds of fewer rows are better: 18 % against 1 % after the same seconds."""

MOST = 1000
"""Dimensions up to which chains run: their metric takes four eigendecompositions, of 0.4 s each at 1,000."""

FIRST_SCALE = 0.3
"""Length of the first differences of the score: unconstrained coordinates of a model have stds of about .1 to 10."""

MOVES_SHARE = 0.6
"""Part of the budget after which no stage goes on. The rest is for the weights and the last fit."""


def _first_draws(optima: Tensor, gaussian: LocalGaussians, count: int, generator: Generator | None) -> Tensor:
    """Draws ``(count, D)`` of the Gaussian, in equal parts around its own mean and around optima that are distinct."""
    scale_tril, centres = gaussian.scale_tril[0], gaussian.mean
    for optimum in optima:
        gap = torch.linalg.solve_triangular(scale_tril, (centres - optimum).mT, upper=False).mT
        if bool((gap.square().mean(-1) > DISTINCT).all()):
            centres = torch.cat([centres, optimum[None]])
    rows = torch.arange(count, device=optima.device) % len(centres)
    noise = torch.randn(count, optima.shape[1], generator=generator, dtype=optima.dtype, device=optima.device)
    return centres[rows] + noise @ scale_tril.mT


def many_dimensions(target: Target, draws: int, generator: Generator | None, budget: Budget) -> WarmUp:
    """Draws, a product and log Z where matrices of all dimensions cannot be fitted to draws.

    1. L-BFGS runs from dispersed starts find optima.
    2. Up to 1,000 dimensions HMC chains run from dispersed points. If they agree, the draws are theirs,
       and importance weights of a Gaussian give log Z. Then the rest is left out.
    3. The Gaussian nearest to the target at the best optimum gives axes. Draws start around all distinct optima.
    4. HMC moves the draws in these axes.
    5. A product is fitted to the draws, and redraws their coordinates. This sets the weights of two wells along one
       axis, if an optimum lies in each.
    6. Importance weights of the product give log Z.

    Args:
        target: the density, over any number of dimensions.
        draws: how many; at most 1,024 above 500 dimensions.
        generator: source of randomness.
        budget: counts calls and seconds; the stages end at 60 % of it.
    """
    stop = budget.stop_after(MOVES_SHARE)
    starts = normal_starts(target, STARTS_IF_LARGE if target.dim > LARGE else STARTS, generator)
    optima = ascend_lbfgs(in_float64(target), starts, stop=stop)
    optima = State(*(field[optima.log_prob.argsort(descending=True)] for field in optima))
    refuse_improper(float(optima.log_prob[0]))
    budget.say(f"{len(optima.x)} optimisation runs, the best to {float(optima.log_prob[0]):.1f}")
    chains = chains_within(target, None, SHARE, generator, budget) if FROM <= target.dim <= MOST else None
    if chains is not None and chains.usable:
        return from_chains(target, chains, optima, draws, generator, budget)
    return along_axes(target, optima, draws, generator, budget, MOVES_SHARE - budget.spent, chains)


def along_axes(
    target: Target,
    optima: State,
    draws: int,
    generator: Generator | None,
    budget: Budget,
    share: float,
    chains: Chains | None,
) -> WarmUp:
    """Draws in the axes of the Gaussian that is nearest to the target at its best optimum, and their product.

    Args:
        target: the density.
        optima: ends of all optimisation runs.
        draws: how many; at most 1,024 above 500 dimensions.
        generator: source of randomness.
        budget: counts the cost.
        share: part of the budget after which no stage goes on; of a cheap density, part of its seconds.
        chains: which did not agree; for the record.
    """
    density, large = in_float64(target), target.dim > LARGE
    expensive, last, before = is_expensive(target, optima.x), budget.seconds + share * budget.max_seconds, target.calls
    stop = budget.stop_after(budget.spent + share) if expensive else lambda: budget.seconds > last
    best = optima.x[optima.log_prob.argmax()]
    gaussian = nearest_gaussian(density, best, FIRST_SCALE, generator, stop=stop)
    budget.say(f"nearest Gaussian with bound {float(gaussian.elbo):.2f}")
    modes = GaussianMixture(torch.ones_like(gaussian.mean[:, 0]), gaussian.mean, gaussian.scale_tril)
    tempering = Tempering(target, modes, gaussian.mean[0], gaussian.scale_tril[0], generator, stop)
    white = tempering.white
    count = min(draws, DRAWS_IF_LARGE) if large else FITTED * draws if target.dim <= MANY else draws
    start = white.whiten(_first_draws(optima.x, gaussian, count, generator))
    polish = Polish(tempering, optima, joint=False)
    state, check = polish.run(init(white, start))
    state = State(*(field[:draws] for field in state))
    budget.free_calls += 0 if expensive else target.calls - before
    conclusion = conclude_from_weights(check)
    status = f"one Gaussian with bound {float(gaussian.elbo):.2f}, HMC in its axes, a product; {conclusion.status}"
    budget.say(status)
    return recorded(state, polish, conclusion._replace(status=status), check.uncovered, budget, chains)
