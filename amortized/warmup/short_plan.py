"""The warm-up of a density whose calls are dear: Gaussians at the optima, fitted once to their own weighted draws."""

from __future__ import annotations

import math

from amortized._types import Tensor
from amortized.mcmc.state import State, init
from amortized.mixtures.gaussian import GaussianMixture
from amortized.warmup.budget import Budget
from amortized.warmup.checks import conclude_from_weights
from amortized.warmup.polish import PROPOSAL_WIDER, Polish
from amortized.warmup.record import WarmUp, recorded
from amortized.warmup.tempering import Tempering
from amortized.weights import effective_sample_size, systematic

FEW_STARTS = 8
"""Climbs of the short plan: two of each scale of the starts."""

FIRST, LAST = 512, 1_024
"""Draws to which a mixture is fitted, and those of it that are kept and that judge it."""

LEAST, PARTS = 256, 3
"""Fewest of either, and batches that share the time that is left: two that give draws, and one that judges."""

EVEN, FEWEST = 0.5, 100
"""ESS fraction of the last weights from which the plan is enough: a sampler that starts from them needs no tempering.
And effective draws below which no mixture is fitted to the first ones."""


def from_gaussians(tempering: Tempering, optima: State, draws: int, budget: Budget) -> WarmUp | None:
    """Draws and log Z by importance sampling alone; None where the weights do not vouch for them.

    1. 512 draws of the Gaussians at the optima get weights, and a mixture is fitted to them.
    2. 1,024 draws of that mixture get weights, and are resampled.
    3. The weights of 1,024 others judge these draws and give log Z.

    With many rows a posterior is nearly Gaussian, and this is right after some 2,600 calls beside the climbs.

    Where the time that is left is too short for these numbers there are fewer, 256 each at the least.

    Args:
        tempering: the whitened target, the Gaussians and the source of randomness.
        optima: ends of the climbs, in the target's coordinates.
        draws: how many to return at the most.
        budget: counts calls and seconds.
    """
    polish = Polish(tempering, optima)
    seconds_a_call = budget.seconds / max(budget.calls, 1)
    fits = int((budget.max_seconds - budget.seconds) / max(seconds_a_call, 1e-9) / PARTS)
    last = polish.count = max(LEAST, min(LAST, fits))
    first = max(LEAST, min(FIRST, fits))
    drawn, log_weights = _weighed(tempering, tempering.modes, first)
    if not bool(log_weights.isfinite().any()) or float(effective_sample_size(log_weights)) < FEWEST:
        return None
    polish.refit(drawn.x[systematic(log_weights, first, tempering.generator)])
    polish.product = None  # its marginals would need more draws than these
    drawn, log_weights = _weighed(tempering, polish.mixture, last)
    if not bool(log_weights.isfinite().any()):
        return None
    rows = systematic(log_weights, draws, tempering.generator)
    state = State(*(field[rows] for field in drawn))
    check = polish.weigh(state, math.nan)
    conclusion = conclude_from_weights(check)
    status = f"few calls fit into the time: {len(optima.x)} climbs, and weights of Gaussians; {conclusion.status}"
    budget.say(status)
    if not conclusion.trustworthy or check.ess_fraction < EVEN or budget.screening.cut:
        return None
    return recorded(state, polish, conclusion._replace(status=status), check.uncovered, budget, None)


def _weighed(tempering: Tempering, law: GaussianMixture, count: int) -> tuple[State, Tensor]:
    """``count`` draws of the widened law with density and score, and their log weights in nats."""
    proposal = law.widened(*PROPOSAL_WIDER)
    state = init(tempering.white.log_prob_and_score, proposal.sample(count, tempering.generator))
    return state, state.log_prob.double() - proposal.log_prob(state.x)
