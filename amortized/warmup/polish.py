"""Moves at the target itself, and importance weights that confirm the draws or do not."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from amortized._types import Tensor
from amortized.mcmc import independence as jumps
from amortized.mcmc import tempered_smc
from amortized.mcmc.state import State
from amortized.mixtures.gaussian import fit
from amortized.mixtures.product import ProductMixture
from amortized.mixtures.product_fit import correct_product, fit_product
from amortized.warmup.tempering import Search
from amortized.weights import Estimate, effective_sample_size, pareto_shape

WIDER = (1.0, 1.5, 3.0), (0.8, 0.15, 0.05)
CLEARLY = 1.0
MAX_REDRAWS = 16
REFRESHED = 3.0
LARGE = 500
COVERED = 10.0
"""Nats of log weight at a top of a climb from which its place counts as not explained by the draws."""


class Weighed(NamedTuple):
    """Importance weights of the final proposal: log Z, k̂ and effective fraction; ``moved``, the probability that they
    shift across the draws' 5, 50 or 95 % quantile in some coordinate, beside the 0.03 plus three standard errors that
    are ``allowed``; how often jumps proposed by it were ``accepted``; ``uncovered``, the largest log weight
    at the tops of the climbs that are higher than half of the draws: far above 0 where density was met that the
    proposal does not cover."""

    evidence: Estimate
    shape: float
    fraction: float
    moved: float
    allowed: float
    accepted: float
    uncovered: float

    @property
    def covered(self) -> bool:
        """Whether the draws explain all the density that the climbs met."""
        return self.uncovered < COVERED


class Polish:
    """Rounds of HMC, of fits, and of jumps that the better fit proposes: a joint mixture, or a product.

    Without ``joint``, for dimensions too many for matrices from draws, the search's own coordinates are taken to be
    round: HMC has no other metric, and the product corrects N(0, 1) where the draws contradict it.

    The laws are fitted to the very draws that they then move, so that these are not quite the target's. The bias is
    about the number of parameters over that of the draws: after three rounds of 2,048 exact draws of a skewed law in 10
    dimensions, 51.7 % of them lay within the median radius (error .4 %). They train a sampler and judge it; what a
    guide hands out are its own paths, whose weights have no such bias.
    """

    def __init__(self, search: Search, tops: State, joint: bool = True):
        self.search = search
        self.joint = joint
        self.tops = tops
        self.density = search.white.log_prob_and_score
        self.mover = tempered_smc.Mover(search.scale_tril, search.generator)
        self.mixture = search.modes
        self.product: ProductMixture | None = None
        self.clear = False

    def run(self, state: State, max_rounds: int = 6) -> tuple[State, Weighed]:
        """Two or more rounds at β = 1, until weights confirm the draws or are useless; a product gets one more."""
        state, weighed = self._round(state, glide=True)
        for _ in range(max_rounds - 1):
            if self.search.stop():
                break
            state, weighed = self._round(state, glide=weighed.fraction < 0.3)
            useless = weighed.fraction < 0.02
            if (useless and self.joint) or (weighed.moved < weighed.allowed and not useless):
                break
        if self.product is not None and not self.search.stop():
            state, weighed = self._round(state, glide=False)
        return state, weighed

    def _round(self, state: State, glide: bool) -> tuple[State, Weighed]:
        generator = self.search.generator
        if glide:
            equal = torch.zeros_like(state.log_prob)
            if self.joint:
                factors = tempered_smc.metrics(state.x, state.score, equal)
                state, _ = self.mover.moves(self.density, state, factors)
            else:
                round_already = torch.ones_like(state.x[0])
                state, _ = self.mover.glides(self.density, state, (round_already, round_already))
        self.refit(state.x)
        if self.product is not None:
            return self._redrawn(state, self.product)
        accepted = 0.0
        for _ in range(4):
            state, info = jumps.independence(self.density, state, self.mixture.widened(*WIDER), generator)
            accepted = float(info.acceptance.mean())
        return state, self.weigh(state, accepted)

    def refit(self, x: Tensor) -> None:
        """Fits both laws to draws and keeps the one that explains unseen draws better; a clear product stays alone."""
        search = self.search
        if not self.joint:
            self.product = correct_product(x, search.generator).product
            return
        fitted = fit_product(search.white.unwhiten(x), search.generator)
        product = fitted.product.inverse_affine(search.shift, search.scale_tril)
        if not self.clear:
            joint = fit(x, search.generator, initial=self.mixture)
            self.mixture = joint.mixture
            lead = fitted.held_out + float(search.white.log_det) - joint.held_out
            self.clear = lead > CLEARLY
            self.product = product if lead > 0 else None
        else:
            self.product = product

    def _redrawn(self, state: State, product: ProductMixture) -> tuple[State, Weighed]:
        """Redraws as many coordinates at once as are accepted, until all were drawn afresh three times."""
        dim = state.x.shape[1]
        coordinates, refreshed, accepted = dim, 0.0, 0.0
        for _ in range(MAX_REDRAWS):
            state, info = jumps.redraw(self.density, state, product, coordinates, self.search.generator)
            accepted = float(info.acceptance.mean())
            refreshed += accepted * coordinates / dim
            if accepted < 0.2:
                coordinates = max(coordinates // 2, 1)
            elif accepted > 0.5:
                coordinates = min(coordinates * 2, dim)
            if refreshed > REFRESHED:
                break
        return state, self.weigh(state, accepted)

    def weigh(self, state: State, accepted: float, count: int = 4096) -> Weighed:
        """Importance weights of fresh draws of the widened proposal, and how far they move the draws' quantiles."""
        white = self.search.white
        count = count if white.dim <= LARGE else count // 4
        proposal = (self.mixture if self.product is None else self.product).widened(*WIDER)
        x = proposal.sample(count, self.search.generator)
        log_weights = white.log_prob(x).double() - proposal.log_prob(x)
        fraction = float(effective_sample_size(log_weights)) / count if bool(log_weights.isfinite().any()) else 0.0
        error = math.sqrt((1 / fraction - 1) / count) if fraction > 0 else math.inf
        evidence = Estimate(float(log_weights.logsumexp(0)) - math.log(count), error)
        levels = torch.tensor([0.05, 0.5, 0.95], dtype=torch.float64, device=x.device)
        below = (x[:, None] <= state.x.quantile(levels, dim=0)).double()
        moved = (torch.einsum("n,nld->ld", log_weights.softmax(0), below) - levels[:, None]).abs().max()
        allowed = 0.03 + 3 * math.sqrt(0.25 * (1 / len(state.x) + 1 / max(fraction * count, 1)))
        high = self.tops.log_prob >= state.log_prob.median() - white.log_det
        tops = self.tops.log_prob + white.log_det - proposal.log_prob(white.whiten(self.tops.x))
        uncovered = float(torch.where(high, tops, -torch.inf).max()) - evidence.value
        return Weighed(evidence, pareto_shape(log_weights), fraction, float(moved), allowed, accepted, uncovered)
