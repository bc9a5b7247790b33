"""The warm-up from end to end."""

from __future__ import annotations

import torch

from amortized._types import Generator
from amortized.mcmc.many_chains import Chains
from amortized.mcmc.state import State
from amortized.mixtures.gaussian import GaussianMixture
from amortized.targets.base import Target
from amortized.targets.cost import FULL_PLAN, calls_within
from amortized.warmup.budget import Budget
from amortized.warmup.chains import FROM, LATE_SHARE, MANY, SHARE, chains_at_modes, chains_within, from_chains
from amortized.warmup.checks import conclude
from amortized.warmup.high_dimension import along_axes, many_dimensions
from amortized.warmup.modes import find_modes
from amortized.warmup.polish import Polish
from amortized.warmup.rays import normal_rays
from amortized.warmup.record import WarmUp, recorded
from amortized.warmup.screening import Screening
from amortized.warmup.short_plan import FEW_STARTS, from_gaussians, share_of_modes
from amortized.warmup.starts import normal_starts
from amortized.warmup.tempering import Tempering, wide_gaussian

STARTS = 48
"""Optimisation runs, as one batch: with this many the prototype was right on eight of ten targets of known truth."""

MODES_SHARE, TEMPERING_SHARE = 0.4, 0.8
"""Parts of the budget after which the search for modes ends, and the tempering. The rest is for moves and weights."""

EARLY_SHARE = 0.2
"""The first of these parts where chains follow: on a horseshoe (42) the climbs took 11 of 28 s, and found one mass."""

AXES_SHARE = 0.3
"""Part of the budget for a product where chains do not agree. It holds any number of modes along the axes: on 32 double
wells (2³² modes) it is even, where a joint mixture has no mode's weight right."""

PARTICLES, MOST_PARTICLES = 512, 2048
"""Of the first tempered runs, and at most: they double as long as the draws are not trustworthy."""


@torch.no_grad()
def warm_up(
    target: Target,
    *,
    draws: int = 2048,
    generator: Generator | None = None,
    max_calls: int = 300_000,
    max_seconds: float = 40.0,
    progress: bool = False,
) -> WarmUp:
    """Draws, scale, modes, their weights and log Z of a target, from its density and score alone.

    1. BFGS runs find modes: from dispersed starts, then from points that the modes known so far do not explain.
    2. From 20 dimensions many HMC chains run from dispersed points and from the modes. If they agree, the draws are
       theirs, and importance weights of a mixture that is fitted to them give log Z. If not, a product along the axes
       of one Gaussian is tried. Where one of the two holds, 3 to 5 are left out.
    3. Two tempered SMC runs, from the modes and from one wide Gaussian, estimate the weights of the modes and log Z.
    4. HMC and jumps that a fitted mixture proposes polish the draws. Its importance weights give log Z again.
    5. While the draws are not trustworthy, 3 and 4 run again with twice the particles, up to 2,048 of them. Chains of
       fewer than 20 dimensions run here, once.

    Where the clock allows under 60,000 calls, `from_gaussians`, or 16 chains, replace 2 to 5 after eight climbs.
    Over 100 dimensions `many_dimensions` does the work. The same seed gives the same draws, unless time is short.

    Args:
        target: the density, in its unconstrained space.
        draws: how many.
        generator: source of randomness.
        max_calls: most target calls, one a particle, without the points of the screening, and of chains where a call is
            cheap: then the seconds limit them, and ten times as many calls. Eight targets took 60,000 to 140,000.
        max_seconds: most seconds of wall clock.
        progress: prints the stages.

    >>> from amortized.targets.callable import DensityTarget
    >>> target = DensityTarget(lambda x: -0.5 * ((x - 5.0) / 0.1).square().sum(-1), dim=2)
    >>> found = warm_up(target, draws=512, generator=torch.Generator().manual_seed(0))
    >>> found.draws.shape, found.trustworthy, bool((found.draws.mean(0) - 5.0).abs().max() < 0.02)
    (torch.Size([512, 2]), True, True)
    """
    screening = Screening(target, normal_rays, max_seconds, generator)
    budget = Budget(target, max_calls, max_seconds, screening, progress)
    if target.dim > MANY:
        return many_dimensions(target, draws, generator, budget)
    starts = normal_starts(target, STARTS, generator)
    calls = calls_within(target, starts, max_seconds)
    is_short = screening.few_calls = calls < FULL_PLAN
    share = EARLY_SHARE if target.dim >= FROM else share_of_modes(calls) if is_short else MODES_SHARE
    starts = starts[:FEW_STARTS] if is_short else starts
    modes, optima = find_modes(target, starts, screening, generator, budget.stop_after(share))
    budget.say(f"{modes.weights.numel()} modes")
    whole = wide_gaussian(modes, 1.0)
    stop = budget.stop_after(TEMPERING_SHARE)
    tempering = Tempering(target, modes, whole.means[0], whole.scale_trils[0], generator, stop)
    found, chains = None, None
    if target.dim >= FROM:
        found, chains = _by_chains(tempering, modes, optima, draws, budget, is_short)
    if found is None and is_short:
        found = from_gaussians(tempering, optima, draws, budget)
    return found or _run_until_agreed(tempering, optima, draws, budget, chains)


def _by_chains(
    tempering: Tempering, modes: GaussianMixture, optima: State, draws: int, budget: Budget, is_short: bool
) -> tuple[WarmUp | None, Chains | None]:
    """Draws of chains, or of a product along the axes of one Gaussian, or none that hold; and the chains."""
    target, generator = budget.target, tempering.generator
    chains = (chains_at_modes if is_short else chains_within)(target, modes, SHARE, generator, budget)
    if chains is not None and chains.usable:
        return from_chains(target, chains, optima, draws, generator, budget), chains
    if is_short:  # a product needs thousands of rows
        return None, chains
    found = along_axes(target, optima, draws, generator, budget, AXES_SHARE, chains)
    return found if found.trustworthy else None, chains


def _run_until_agreed(tempering: Tempering, optima: State, draws: int, budget: Budget, chains: Chains | None) -> WarmUp:
    """Tempered runs, polished draws and their checks, again and again with twice the particles.

    It ends where the draws are trustworthy, after a round of 2,048 particles, or where too little budget is left.
    Where the first round is not trustworthy, chains run once. If they converged, their draws are taken in the end.
    """
    particles, found = PARTICLES, None
    while True:
        before = budget.spent
        runs = tempering.two_runs(particles)
        tempered = budget.spent - before
        polish = Polish(tempering, optima)
        state, check = polish.run(tempering.pool(draws))
        tempering.mixture = polish.mixture
        conclusion = conclude(runs, check, budget.screening)
        budget.say(conclusion.status)
        if chains is None and not conclusion.trustworthy:
            white = tempering.white
            modes = tempering.modes.affine(white.shift, white.scale_tril)
            chains = chains_within(white.target, modes, LATE_SHARE, tempering.generator, budget)
            if chains is not None and chains.converged:
                found = from_chains(white.target, chains, optima, draws, tempering.generator, budget)
                if found.trustworthy:
                    return found
        # with twice the particles the next round costs as much as this one, and its tempering once more
        after_another = 2 * budget.spent - before + tempered
        if conclusion.trustworthy or particles >= MOST_PARTICLES or after_another > 1.0:
            break
        particles *= 2
    if found is not None and not conclusion.trustworthy:
        return found
    return recorded(state, polish, conclusion, check.uncovered, budget, chains)
