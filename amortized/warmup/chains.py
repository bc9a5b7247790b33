"""HMC chains beside the mixture: where they start, what they may cost, and what a warm-up takes from them."""

from __future__ import annotations

import math

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.chain_record import PLENTY
from amortized.mcmc.many_chains import CHAINS, Chains, chains_from, run_chains
from amortized.mcmc.metric import covariance_metric, geometric_mean
from amortized.mcmc.state import State
from amortized.mixtures.covariance import significant_scale_tril
from amortized.mixtures.gaussian import GaussianMixture, safe_cholesky
from amortized.targets.base import Target
from amortized.targets.cost import is_expensive
from amortized.warmup.budget import Budget
from amortized.warmup.checks import conclude_from_chains
from amortized.warmup.polish import PROPOSAL_WIDER, Polish
from amortized.warmup.record import WarmUp, recorded
from amortized.warmup.tempering import Tempering
from amortized.weights import effective_sample_size, systematic

MANY = 100
"""Dimensions above which `many_dimensions` does the work: a covariance has 5,050 entries there, for 2,048 draws."""

FROM = 20
"""Dimensions from which chains come before the tempering. A mixture's weights fall with the dimensions, as a rule:
on seeds (26) and a horseshoe (42) their ESS was 2 % and 0.4 %. The chains were right in 5 to 10 s there."""

SHARE = 0.8
"""Part of the warm-up's seconds that chains may take, if R-hat is under 1.3 after 60 % of it; else tempering goes on.
How many Gaussians the climbs found does not count: on seeds 32 cover one mass."""

LONGEST, EVEN = 0.9, 0.5
"""Part of the warm-up's seconds after which no chains go on, and ESS fraction of the weights of a law fitted to their
draws from which they need not: paths that start from this law then give the draws."""

LATE_SHARE = 0.2
"""The same part below 20 dimensions, where chains run if the first tempered runs and the weights do not agree."""

FITTED, MOST_NUMBERS = 8192, 1_000_000
"""Draws of chains to which a mixture is fitted: a Gaussian of 100 dimensions then loses 0.3 nats by noise. And numbers
of the draws to which a product of many dimensions is: its tables hold about a hundred times as many bytes."""

ROWS = 4
"""Of these draws for each effective one. 8,192 rows of chains worth 87 draws took 10 s to fit, in 42 dimensions."""

CHEAP_CALLS = 40
"""Multiples of ``max_calls`` that chains may spend of a cheap density: then the seconds count."""

GAUSSIAN_ROWS = 4096
"""Draws with scores from which the Gaussian of many dimensions is made, at the most; four times 1,000 dimensions."""

FEW_CHAINS, WEIGHTED = 16, 256
"""Chains of an expensive density, and draws from whose weights they start. R-hat of C split chains with E effective
draws is near √(1 + 2 C / E): 16 chains reach 1.05 at 310, 64 chains at 1,250."""

METRIC_ROWS = 2048
"""Draws of the Gaussians at the modes from which a metric is made: twenty for each of 100 dimensions."""

WIDTH = 2.0
"""Half the width of the cube of the dispersed starts, in unconstrained units, as Stan's."""

HALVINGS = 12
"""Times that the cube is halved for a start whose density or score is not finite."""


def chain_starts(target: Target, modes: GaussianMixture | None, generator: Generator | None) -> Tensor:
    """64 starts ``(C, D)``: three quarters are dispersed, the others are draws of Gaussians at the modes.

    Starts at the modes let R-hat test whether the modes are joined with the rest. A Gaussian has as many as its bound
    of the mass says: chains that start in the neck of a funnel take long to leave. Bare optima are not used, for the
    same reason. On a random walk of 500 steps eight chains of 64 stayed at such optima.

    Args:
        target: the density.
        modes: Gaussians whose weights are flattened by √D, as `find_modes` makes them; None without.
        generator: source of randomness.
    """
    dispersed = _uniform(target, CHAINS if modes is None else CHAINS - CHAINS // 4, generator)
    if modes is None:
        return dispersed
    weights = (modes.weights.log() * math.sqrt(target.dim)).softmax(0)
    at_modes = GaussianMixture(weights, modes.means, modes.scale_trils).sample(CHAINS // 4, generator)
    return torch.cat([dispersed, at_modes[target.log_prob(at_modes.to(target.dtype)).isfinite()]])


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
    modes: GaussianMixture | None,
    share: float,
    generator: Generator | None,
    budget: Budget,
) -> Chains | None:
    """Chains within a ``share`` of the budget's seconds, or None if too little is left.

    Calls of a cheap density do not count as the budget's: there the seconds are the limit. Of an expensive one chains
    may take ``share`` of the calls, and there are 16. On a latent Gaussian process with counts these converged in 23 s,
    where 64 chains were at an R-hat of 1.67.
    """
    end = min(budget.seconds + share * budget.max_seconds, budget.max_seconds)
    if target.quicken(end - budget.seconds):
        budget.say("the density is compiled")
    seconds = end - budget.seconds
    if seconds <= 0:
        return None
    starts = chain_starts(target, modes, generator)
    expensive = is_expensive(target, starts.to(target.dtype))
    if expensive:
        starts = starts[:: CHAINS // FEW_CHAINS]
    calls = share * budget.max_calls if expensive else CHEAP_CALLS * budget.max_calls
    before = target.calls
    budget.say(f"{len(starts)} chains start, for at most {seconds:.0f} s")
    chains = run_chains(target, starts, seconds, generator, calls)
    if not expensive:
        budget.free_calls += target.calls - before
    budget.say(chains.status)
    return chains


def chains_at_modes(
    target: Target, modes: GaussianMixture, share: float, generator: Generator | None, budget: Budget
) -> Chains | None:
    """Few chains of an expensive density, from weighted draws of the Gaussians at the modes.

    From dispersed starts 300 moves find a metric; 100,000 rows allow a hundred in all. The curvature at the modes is a
    metric already, and weighted draws are nearly the target's. Where the weights are too uneven, the draws start as
    they are: each mode then has as many chains as its flattened weight says, and R-hat shows those not joined.

    Args:
        target: the density.
        modes: Gaussians whose weights are flattened by √D, as `find_modes` makes them.
        share: of the budget's seconds and calls.
        generator: source of randomness.
        budget: counts the cost.
    """
    seconds = min(share * budget.max_seconds, budget.max_seconds - budget.seconds)
    if seconds <= 0:
        return None
    proposal = modes.widened(*PROPOSAL_WIDER)
    starts = proposal.sample(WEIGHTED, generator)
    log_weights = target.log_prob(starts.to(target.dtype)).double() - proposal.log_prob(starts)
    starts, log_weights = starts[log_weights.isfinite()], log_weights[log_weights.isfinite()]
    if len(starts) < FEW_CHAINS:
        return None
    if float(effective_sample_size(log_weights)) > FEW_CHAINS:
        starts = starts[systematic(log_weights, FEW_CHAINS, generator)]
    metric = covariance_metric(modes.sample(METRIC_ROWS, generator))
    budget.say(f"{FEW_CHAINS} chains start, for at most {seconds:.0f} s")
    chains = chains_from(starts[:FEW_CHAINS], target, seconds, generator, share * budget.max_calls, metric)
    budget.say(chains.status)
    return chains


def of_chains(chains: Chains, count: int, generator: Generator | None) -> tuple[Tensor, Tensor]:
    """``count`` draws ``(count, D)``, at most all, evenly over chains and moves, in random order; log R ``(N,)``."""
    x, log_prob = chains.draws.transpose(0, 1).flatten(0, 1), chains.log_prob.mT.flatten()
    rows = torch.linspace(0, len(x) - 1, count, device=x.device).round().long()
    rows = rows[torch.randperm(count, generator=generator, device=x.device)]
    return x[rows], log_prob[rows]


def from_chains(
    target: Target, chains: Chains, optima: State, draws: int, generator: Generator | None, budget: Budget
) -> WarmUp:
    """A warm-up whose draws are those of chains; a mixture or product fitted to them gives log Z.

    Args:
        target: the density.
        chains: converged, or nearly.
        optima: ends of all optimisation runs.
        draws: how many, if the chains have so many.
        generator: source of randomness.
        budget: counted the cost.
    """
    joint = target.dim <= MANY
    if not chains.converged:
        chains = _longer(target, chains, generator, budget)
    # a fit takes seconds, and rows that say the same teach it nothing. No draw twice: it would lie in both halves of it
    rows = min(FITTED, max(draws, int(ROWS * chains.ess)))
    x, log_prob = of_chains(chains, min(rows, chains.log_prob.numel()), generator)
    shift, scale_tril = x.double().mean(0), significant_scale_tril(x) if joint else _scale_tril(target, chains.draws)
    gaussian = GaussianMixture(torch.ones_like(shift[:1]), shift[None], scale_tril[None])
    tempering = Tempering(target, gaussian, shift, scale_tril, generator, lambda: False)
    white, polish = tempering.white, Polish(tempering, optima, joint)
    u = white.whiten(x)
    polish.refit(u if joint else u[: MOST_NUMBERS // target.dim])
    state = State(u[:draws], log_prob[:draws].double() + white.log_det, torch.zeros_like(u[:draws]))
    check = polish.weigh(state, 1.0)
    if chains.converged and check.ess_fraction < EVEN:
        chains = _longer(target, chains, generator, budget)
        x, log_prob = of_chains(chains, len(state.x), generator)
        state = State(white.whiten(x), log_prob.double() + white.log_det, torch.zeros_like(state.x))
    conclusion = conclude_from_chains(chains, check, budget.screening if joint else None)
    budget.say(conclusion.status)
    return recorded(state, polish, conclusion, check.uncovered, budget, chains)


def _longer(target: Target, chains: Chains, generator: Generator | None, budget: Budget) -> Chains:
    """Chains that go on until their draws are plenty: uneven weights leave the draws to them."""
    before = target.calls
    chains = chains.lengthened(target, PLENTY, generator, lambda: budget.seconds > LONGEST * budget.max_seconds)
    budget.free_calls += target.calls - before
    budget.say(chains.status)
    return chains


def _scale_tril(target: Target, x: Tensor) -> Tensor:
    """A lower factor ``(D, D)`` of the covariance of many dimensions, from chains ``(C, N, D)``.

    Of the draws' covariance, and its geometric mean with the inverse score covariance, that one under which the other
    half of the chains is likelier. The mean is exact for a Gaussian. A covariance of 1,000 dimensions has half a
    million entries.
    """
    half, every = len(x) // 2, math.ceil(x[..., 0].numel() / (2 * GAUSSIAN_ROWS))
    fit, held_out = x[:half, ::every].flatten(0, 1), x[half:, ::every].flatten(0, 1)
    std, root = geometric_mean(fit, target.log_prob_and_score(fit)[1])
    candidates = significant_scale_tril(fit), std[:, None] * safe_cholesky(root @ root.mT)
    centre = held_out.double().mean(0)

    def likelihood(scale_tril: Tensor) -> float:
        white = torch.linalg.solve_triangular(scale_tril, (held_out.double() - centre).mT, upper=False)
        return float(-0.5 * white.square().sum(0).mean() - scale_tril.diagonal().log().sum())

    return max(candidates, key=likelihood)
