"""The judgement of one posterior's sampler: weights, evidence, chains where weights do not hold, and the verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import cast

import torch

from amortized._torch import placement
from amortized._types import Generator, Tensor
from amortized.diagnostics.chain_check import ChainCheck, checked, joined
from amortized.diagnostics.mass_search import MassSearch
from amortized.diagnostics.mode_search import ModeSearch, Unbounded
from amortized.diagnostics.remedies import GENERIC, Remedies
from amortized.diagnostics.verdict import TRUSTWORTHY, UNTRUSTED, Checks, Diagnosis, diagnose
from amortized.mcmc.many_chains import Chains, chains_from
from amortized.results.chain_draws import finished
from amortized.results.looks import Look, Searches, look, scales
from amortized.samplers import DiffusionSampler
from amortized.samplers.corrections import corrected
from amortized.targets.affine import WhitenedTarget
from amortized.targets.cost import timed
from amortized.targets.pyro.model_target import ModelTarget
from amortized.targets.transformed import origin
from amortized.training.evaluation import reverse_log_weights
from amortized.training.record import FreshPaths
from amortized.warmup import WarmUp
from amortized.weights import Estimate, log_evidence, systematic

POLISHED = 512
"""The sampler's own draws that stand in for held-out ones: as many as ``Recipe.held_out``."""
CHAINS = 64
"""Chains that start from the paths' ends: as many as those of the warm-up."""
DISTINCT = 16
"""Different ends among these starts at the least: chains from one point say nothing about where it came from."""
NEAR = 1.3
"""R-hat under which chains are worth going on with: those of several modes have far more."""
OTHER_SEED = 1_000_003
"""Added to the seed of a fit where a check needs random numbers. A prime far above the seeds that people type."""


@dataclass(frozen=True, eq=False)
class Judged:
    """A trained sampler of one posterior, and all that is known of its draws.

    The record itself never changes. Paths, weights, chains and checks are computed once, at the first question.

    Args:
        sampler: Draws in the coordinates of ``white``.
        white: The whitened density.
        generator: Source of all random numbers, except those of the checks.
        method: Name of the guide that made it, for tables.
        paths: Number of fresh paths.
        held_out: Draws ``(N, D)`` of the target in whitened coordinates and their log R. None polishes some of the
            sampler's own draws by MALA.
        warm_up: The warm-up, whose log evidence the sampler has to agree with; None where there was none.
        remedies: What to type after a bad verdict.
        attributes: Facts that are written beside the draws.
        draws_within: Seconds that the excess paths of one call may take before there are fewer of them.
        checks_within: Seconds that chains and each independent search may take before they are left out.
        explores: Whether ``diagnose`` searches for mass that the sampler does not see.
        chains_within: Seconds for chains that start from the paths, where the weights cannot vouch for the draws.
        weighed: Paths that are drawn already, in the place of ``paths`` fresh ones.
        cut_short: What the fit had too little time for; else empty.
    """

    sampler: DiffusionSampler
    white: WhitenedTarget
    generator: Generator
    method: str
    paths: int
    held_out: tuple[Tensor, Tensor] | None = None
    warm_up: WarmUp | None = None
    remedies: Remedies = GENERIC
    attributes: Mapping[str, float | int | str] = field(default_factory=dict)
    draws_within: float = 15.0
    checks_within: float = 0.5
    explores: bool = False
    chains_within: float = 0.0
    weighed: FreshPaths | None = None
    cut_short: str = ""

    @property
    def target(self) -> ModelTarget:
        """The density in the model's own unconstrained coordinates."""
        return cast(ModelTarget, origin(self.white))

    @cached_property
    def fresh(self) -> FreshPaths:
        """The fresh paths, drawn once."""
        if self.weighed is not None:
            return self.weighed
        with placement(self.white.device):
            (ends, log_weights), seconds = timed(lambda: self.sampler.sample(self.white, self.paths, self.generator))
        return FreshPaths(ends, log_weights, seconds / self.paths)

    def weights(self) -> Tensor:
        """Log weights of the fresh paths, ``(N,)`` in nats."""
        return self.fresh.log_weights

    def pilot(self) -> tuple[Tensor, Tensor]:
        """Whitened ends ``(N, D)`` of the fresh paths, and their log weights."""
        return self.fresh.ends, self.fresh.log_weights

    @cached_property
    def _reverse(self) -> Tensor:
        with placement(self.white.device), torch.no_grad():
            parts = self.sampler.process, self.sampler.policy, self.white
            draws = self.held_out or polished(self.sampler, self.white, POLISHED, self.pilot(), self.generator)
            return reverse_log_weights(*parts, draws, self.generator)

    def reverse_weights(self) -> Tensor:
        """Log weights of backward paths from draws of the target, ``(M,)`` in nats."""
        return self._reverse

    @cached_property
    def chains(self) -> Chains | None:
        """The chains that ``"best"`` draws come from, in the warm-up's coordinates; None where paths are as good.

        Paths whose weights pass every check, and explain the warm-up's optima, are best. Then come the warm-up's
        chains, if they agree and are long enough; then paths whose weights are uneven. Then the warm-up's chains go on,
        or others start from the resampled paths.
        """
        optima = Checks(uncovered=-math.inf if self.warm_up is None else self.warm_up.uncovered)
        weighed = diagnose(self.weights(), self.reverse_weights(), None, True, checks=optima).verdict
        if weighed == TRUSTWORTHY:
            return None
        known = None if self.warm_up is None else self.warm_up.chains
        holds = known is not None and checked(known).holds
        if not holds and (weighed != UNTRUSTED or not self.chains_within):
            return None
        with placement(self.white.device):
            found = self._longer_chains(known)
        return found if found is not None and checked(found).holds else None

    def _longer_chains(self, known: Chains | None) -> Chains | None:
        """The warm-up's chains after more moves, or chains from the paths; None where too few paths have weight."""
        generator = torch.Generator(self.white.device).manual_seed(self._other_seed)
        if known is not None and known.rhat < NEAR:
            return finished(known, self.white.target, self.chains_within, generator)
        if not self.weights().isfinite().any():
            return None
        rows = systematic(self.weights(), CHAINS, generator)
        if len(rows.unique()) < DISTINCT:
            return None
        starts = self.fresh.ends[rows]
        return chains_from(self.white.unwhiten(starts), self.white.target, self.chains_within, generator)

    @cached_property
    def _chain_check(self) -> ChainCheck | None:
        if self.chains is None:
            return None
        found = checked(self.chains)
        if not self.explores:
            return found
        return replace(found, joined=joined(self.white.target, self.chains, self.checks_within, self._other_seed))

    def log_evidence(self) -> Estimate:
        """Estimate log Z in nats from the fresh paths, with its standard error."""
        return log_evidence(self.weights())

    def diagnose(self, remedies: Remedies | None = None) -> Diagnosis:
        """Judge the draws by weights, bounds and independent checks.

        Args:
            remedies: What to type where a check fails, if not the posterior's own.
        """
        warm = self.warm_up
        known = (None, True, "") if warm is None else (warm.log_evidence, warm.trustworthy, warm.status)
        weights = self.weights(), self.reverse_weights()
        return diagnose(*weights, *known, remedies or self.remedies, self.checks())

    def checks(self) -> Checks:
        """Look for what the weights do not show; each check runs once, except that of the model's text and data."""
        with placement(self.white.device):
            changed = self.target.difference_from_model()
            look = self._look if changed is None else vars(self).get("_look")
            # where chains give the draws, the sampler's misses concern log Z alone, whose weights have failed already
            searching = changed is None and self.explores and self.chains is None
            searches = self._searches if searching else vars(self).get("_searches")
        return Checks(
            changed=changed,
            drift=look.drift if look else None,
            mode_search=searches.elsewhere if searches else None,
            beyond=searches.beyond if searches else None,
            target_calls=self.target.calls,
            uncovered=-math.inf if self.warm_up is None else self.warm_up.uncovered,
            rounding=look.rounding if look else None,
            troubles=tuple(self.target.troubles()),
            troubled=look.troubled if look else 0.0,
            scales=scales(self.target.latents),
            sites=len(self.target.latents),
            decentered=any(name.endswith("_decentered") for name in self.target.latents),
            cut_short=self.cut_short,
            chains=self._chain_check if changed is None else vars(self).get("_chain_check"),
        )

    @cached_property
    def _look(self) -> Look:
        return look(self.white, self.fresh, self.checks_within, self._other_seed)

    @cached_property
    def _searches(self) -> Searches:
        return self._search(self.checks_within)

    def _search(self, seconds: float) -> Searches:
        search = MassSearch(self.sampler, self.white, *self.pilot(), self._other_seed)
        return Searches(search.elsewhere(seconds), search.beyond(seconds))

    def explore(self, seconds: float) -> ModeSearch | Unbounded | str:
        """Search twice for mass that the sampler does not see: elsewhere, and beyond its draws.

        Args:
            seconds: What each search may take.

        Returns:
            What the first search found. Later calls of ``diagnose`` read both, in the place of earlier searches.
        """
        vars(self)["_searches"] = self._search(seconds)  # the one cached result that a user may ask for again
        return self._searches.elsewhere

    @property
    def _other_seed(self) -> int:
        """One that no fit has used: looking changes no draw."""
        return self.generator.initial_seed() + OTHER_SEED


def polished(
    sampler: DiffusionSampler,
    white: WhitenedTarget,
    count: int,
    pilot: tuple[Tensor, Tensor],
    generator: Generator,
) -> tuple[Tensor, Tensor]:
    """``count`` of the sampler's own draws ``(count, D)``, resampled and moved by MALA, and their log R."""
    ends, _ = corrected(sampler, white, count, "mcmc", pilot, generator)
    return ends, white.log_prob(ends).double()
