"""The warm-up of a density whose calls are expensive: adaptive importance sampling from the Gaussians at the optima."""

from __future__ import annotations

import math

import torch

from amortized._types import Tensor
from amortized.mcmc.state import State, init
from amortized.mcmc.tempered_smc import next_increment
from amortized.mixtures.gaussian import GaussianMixture, fit_mixture, mixture_of
from amortized.warmup.budget import Budget
from amortized.warmup.checks import conclude_from_weights
from amortized.warmup.polish import PROPOSAL_WIDER, Polish
from amortized.warmup.record import WarmUp, recorded
from amortized.warmup.tempering import WIDE, Tempering, wide_gaussian
from amortized.weights import effective_sample_size, systematic

FEW_STARTS = 8
"""Climbs of the short plan: two of each scale of the starts."""

WEIGHING = 3_000
"""Calls that the weights should have: two rounds and their judges take 2,560."""

LEAST_SHARE, MOST_SHARE = 0.5, 0.9
"""Bounds of the part of the budget that the climbs and the search for modes may take."""

ROUNDS = 6
"""Most fits of a mixture: the sensors and an equation of prey and predators need one or two."""

FIRST, LAST, LEAST = 512, 1_024, 256
"""Draws of the first round, of a later one and of the judges, and the fewest where time is short."""

EXPLORING = 0.2
"""Share of the first draws that come from one wide Gaussian around all optima, and see what lies between them."""

ENOUGH, EVEN, USELESS = 0.8, 0.5, 0.05
"""ESS fractions: of a round, from which no other follows; of the judges, from which the draws may be trusted, and below
which nothing is returned."""

TEMPERED = 10_000
"""Calls that must be left for tempered runs to take over from useless weights."""

FEWEST = 100
"""Effective draws that a fit needs: fewer are tempered up to that number."""


def share_of_modes(calls: float) -> float:
    """Part of the budget after which the climbs and the search for modes end, where ``calls`` fit into it.

    >>> share_of_modes(6_000), share_of_modes(30_000)
    (0.5, 0.9)
    """
    return max(LEAST_SHARE, min(MOST_SHARE, 1 - WEIGHING / calls))


class Pool:
    """Draws of several laws with their density and score; each weighs as one of the mixture of all these laws.

    No call is thrown away: Cornuet, Marin, Mira and Robert (2012), Scandinavian Journal of Statistics 39.

    Args:
        tempering: holds the whitened density and the source of randomness.
    """

    def __init__(self, tempering: Tempering):
        self.tempering = tempering
        self.laws: list[GaussianMixture] = []
        self.states: list[State] = []

    def add(self, law: GaussianMixture, count: int) -> float:
        """``count`` draws of the widened law; returns the ESS fraction of their own weights."""
        proposal, generator = law.widened(*PROPOSAL_WIDER), self.tempering.generator
        state = init(self.tempering.white.log_prob_and_score, proposal.sample(count, generator))
        self.laws.append(proposal)
        self.states.append(state)
        log_weights = state.log_prob.double() - proposal.log_prob(state.x)
        return float(effective_sample_size(log_weights)) / count if bool(log_weights.isfinite().any()) else 0.0

    @property
    def state(self) -> State:
        """All draws, ``(N, D)``."""
        return State(*(torch.cat(fields) for fields in zip(*self.states, strict=True)))

    def log_weights(self) -> Tensor:
        """``log R(x) − log Σ_r (n_r / N) q_r(x)`` of all draws, ``(N,)`` in nats."""
        state, counts = self.state, [len(each.x) for each in self.states]
        parts = [law.log_prob(state.x) + math.log(n / sum(counts)) for law, n in zip(self.laws, counts, strict=True)]
        return state.log_prob.double() - torch.stack(parts).logsumexp(0)

    def tempered(self) -> Tensor:
        """The weights, flattened to 100 effective draws if they have fewer."""
        log_weights = self.log_weights()
        finite = int(log_weights.isfinite().sum())
        return log_weights * next_increment(log_weights, 0.0, min(1.0, FEWEST / max(finite, 1)))


def from_gaussians(tempering: Tempering, optima: State, draws: int, budget: Budget) -> WarmUp | None:
    """Draws and log Z by importance sampling alone; None where the weights are useless and time is left.

    1. 512 draws of the Gaussians at the optima, and of a wide one around them, get weights.
    2. A mixture is fitted to all weighted draws so far, and 1,024 draws of it get weights. This is repeated until their
       ESS is 80 %, at most six times, and while there is time.
    3. All draws are resampled. The weights of 1,024 others judge them and give log Z.

    Where the time that is left is too short for these numbers there are fewer, 256 each at the least. The draws are not
    trusted where the search for modes was cut.

    Args:
        tempering: the whitened target, the Gaussians and the source of randomness.
        optima: ends of the climbs, in the target's coordinates.
        draws: how many to return at the most.
        budget: counts calls and seconds.
    """
    polish, pool = Polish(tempering, optima), Pool(tempering)
    wide = wide_gaussian(tempering.modes, WIDE)
    pool.add(mixture_of([tempering.modes, wide], [1 - EXPLORING, EXPLORING]), _affordable(budget, FIRST, 3))
    for _ in range(ROUNDS):
        if not bool(pool.log_weights().isfinite().any()):
            return None
        state = pool.state
        rows = systematic(pool.tempered(), len(state.x), tempering.generator)
        polish.mixture = fit_mixture(state.x[rows], tempering.generator, initial=polish.mixture).mixture
        fraction = pool.add(polish.mixture, _affordable(budget, LAST, 2))
        if fraction >= ENOUGH or _left(budget) < 2 * LEAST:
            break
    polish.count = _affordable(budget, LAST, 1)
    rows = systematic(pool.log_weights(), draws, tempering.generator)
    state = State(*(field[rows] for field in pool.state))
    check = polish.weigh(state, math.nan)
    conclusion = conclude_from_weights(check)
    parts = [f"few calls fit into the time: {len(optima.x)} climbs, and weights of Gaussians", str(budget.screening)]
    status = "; ".join(filter(None, [*parts, conclusion.status]))
    budget.say(status)
    if check.ess_fraction < USELESS and _left(budget) > TEMPERED:
        return None
    trustworthy = conclusion.trustworthy and check.ess_fraction >= EVEN and not budget.screening.cut
    conclusion = conclusion._replace(trustworthy=trustworthy, status=status)
    return recorded(state, polish, conclusion, check.uncovered, budget, None)


def _left(budget: Budget) -> float:
    """Calls that the seconds left allow, by the mean pace so far."""
    return (budget.max_seconds - budget.seconds) * budget.calls / max(budget.seconds, 1e-9)


def _affordable(budget: Budget, wanted: int, parts: int) -> int:
    """``wanted`` draws, or fewer where ``parts`` such batches share the time; 256 at the least."""
    return max(LEAST, min(wanted, int(_left(budget) / parts)))
