"""HMC chains beside the mixture: where they start, what they may cost, and what a warm-up takes from them."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.many_chains import CHAINS, Chains, run_chains
from amortized.mcmc.state import State
from amortized.mixtures.covariance import significant_scale_tril
from amortized.mixtures.gaussian import GaussianMixture
from amortized.targets.base import Target
from amortized.targets.cost import is_expensive
from amortized.warmup.budget import Budget
from amortized.warmup.checks import conclude_from_chains
from amortized.warmup.polish import Polish
from amortized.warmup.record import WarmUp, recorded
from amortized.warmup.tempering import Tempering

FROM = 20
"""Dimensions from which chains come before the tempering. A mixture's weights fall with the dimensions, as a rule:
on seeds (26) and a horseshoe (42) their ESS was 2 % and 0.4 %. The chains were right in 5 to 10 s there."""

SHARE = 0.5
"""Part of the warm-up's seconds that chains may take. How many Gaussians the climbs found does not count: on seeds 32
cover one mass. Chains in several modes stop early, at R-hat over 2."""

LATE_SHARE = 0.2
"""The same part below 20 dimensions, where chains run if the first tempered runs and the weights do not agree."""

FITTED = 8192
"""Draws of chains to which a mixture is fitted: a Gaussian of 100 dimensions then loses 0.3 nats by noise."""

CHEAP_CALLS = 10
"""Multiples of ``max_calls`` that chains may spend of a cheap density: then the seconds count."""

WIDTH = 2.0
"""Half the width of the cube of the dispersed starts, in unconstrained units, as Stan's."""

HALVINGS = 12
"""Times that the cube is halved for a start whose density or score is not finite."""


def chain_starts(target: Target, modes: GaussianMixture | Tensor, generator: Generator | None) -> Tensor:
    """64 starts ``(C, D)``: half dispersed, half drawn at the modes, as many of each mode.

    Starts at the modes let R-hat test whether the modes are joined with the rest.

    Args:
        target: the density.
        modes: Gaussians whose draws are starts, or optima ``(M, D)`` that are themselves.
        generator: source of randomness.
    """
    dispersed = _uniform(target, CHAINS // 2, generator)
    if isinstance(modes, GaussianMixture):
        rows = torch.arange(CHAINS // 2, device=target.device) % modes.weights.numel()
        noise = torch.randn(len(rows), target.dim, generator=generator, dtype=torch.float64, device=target.device)
        at_modes = modes.means[rows] + (modes.scale_trils[rows] @ noise[..., None])[..., 0]
    else:
        at_modes = modes[torch.arange(CHAINS // 2, device=target.device) % len(modes)]
    starts = torch.cat([dispersed, at_modes])
    finite = target.log_prob(starts.to(target.dtype)).isfinite()
    usable = starts[finite]
    return usable[torch.arange(CHAINS, device=target.device) % len(usable)]


def _uniform(target: Target, count: int, generator: Generator | None) -> Tensor:
    """Points uniform in [-2, 2]^D; each whose density or score is not finite is drawn anew in half the cube."""
    half_width = torch.full((count, 1), WIDTH, dtype=torch.float64, device=target.device)
    x = torch.zeros(count, target.dim, dtype=torch.float64, device=target.device)
    missing = torch.arange(count, device=target.device)
    for _ in range(HALVINGS):
        uniform = torch.rand(len(missing), target.dim, generator=generator, dtype=torch.float64, device=target.device)
        x[missing] = half_width[missing] * (2 * uniform - 1)
        value, score = target.log_prob_and_score(x[missing].to(target.dtype))
        missing = missing[~(value.isfinite() & score.isfinite().all(-1))]
        half_width[missing] /= 2
        if len(missing) == 0:
            break
    return x


def chains_within(
    target: Target,
    modes: GaussianMixture | Tensor,
    share: float,
    generator: Generator | None,
    budget: Budget,
) -> Chains | None:
    """Chains within a ``share`` of the budget's seconds, or None if too little is left.

    Calls of a cheap density do not count as the budget's: there the seconds are the limit. Of an expensive one chains
    may take ``share`` of the calls.
    """
    seconds = min(share * budget.max_seconds, budget.max_seconds - budget.seconds)
    if seconds <= 0:
        return None
    starts = chain_starts(target, modes, generator)
    expensive = is_expensive(target, starts.to(target.dtype))
    calls = share * budget.max_calls if expensive else CHEAP_CALLS * budget.max_calls
    before = target.calls
    chains = run_chains(target, starts, seconds, generator, calls)
    if not expensive:
        budget.free_calls += target.calls - before
    budget.say(chains.status)
    return chains


def of_chains(chains: Chains, count: int, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """``count`` draws ``(count, D)`` spread over chains and moves, in random order, and their log R ``(count,)``."""
    x, log_prob = chains.draws.transpose(0, 1).flatten(0, 1), chains.log_prob.mT.flatten()
    rows = torch.linspace(0, len(x) - 1, count, device=x.device).round().long() if count < len(x) else None
    rows = torch.arange(count, device=x.device) % len(x) if rows is None else rows
    rows = rows[torch.randperm(count, generator=generator, device=x.device)]
    return x[rows], log_prob[rows]


def from_chains(
    target: Target, chains: Chains, optima: State, draws: int, generator: Generator | None, budget: Budget
) -> WarmUp:
    """A warm-up whose draws are those of chains that converged; a mixture or product fitted to them gives log Z.

    Args:
        target: the density.
        chains: converged.
        optima: ends of all optimisation runs.
        draws: how many.
        generator: source of randomness.
        budget: counted the cost.
    """
    x, log_prob = of_chains(chains, max(draws, FITTED), generator)
    shift, scale_tril = x.double().mean(0), significant_scale_tril(x)
    mean = shift[None]
    gaussian = GaussianMixture(torch.ones_like(mean[:, 0]), mean, scale_tril[None])
    tempering = Tempering(target, gaussian, shift, scale_tril, generator, lambda: False)
    white, polish = tempering.white, Polish(tempering, optima)
    u = white.whiten(x)
    polish.refit(u)
    state = State(u[:draws], log_prob[:draws].double() + white.log_det, torch.zeros_like(u[:draws]))
    check = polish.weigh(state, 1.0)
    conclusion = conclude_from_chains(chains, check, budget.screening)
    budget.say(conclusion.status)
    return recorded(state, polish, conclusion, check.uncovered, budget, chains)
