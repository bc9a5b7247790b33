"""The two searches for posterior mass that a sampler misses: other modes, and mass beyond its draws."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch

from amortized._types import Generator, Tensor
from amortized.diagnostics import frontier, mode_search
from amortized.diagnostics.mode_search import LogWeights, ModeSearch, Unbounded, search_modes
from amortized.mixtures.gaussian import GaussianMixture, mixture_of
from amortized.samplers import DiffusionSampler
from amortized.targets.affine import WhitenedTarget
from amortized.targets.cost import seconds_a_particle
from amortized.targets.pyro.trace import ModelError
from amortized.training.evaluation import reverse_log_weights
from amortized.warmup.modes import Improper, find_modes
from amortized.warmup.rays import cube_rays
from amortized.warmup.run import MANY
from amortized.warmup.screening import Screening
from amortized.warmup.tempering import wide_gaussian
from amortized.weights import Estimate, log_evidence, systematic

Found = TypeVar("Found")

FAR_STARTS, OWN_STARTS = 24, 8
"""Optimisation runs from Cauchy points around the draws, and from draws; the warm-up has 48 starts."""

SCREENING = 4
"""Times the search's seconds that the screening plans with: it takes 2 or 15 % of them, and ends at half the search."""


@dataclass(frozen=True)
class MassSearch:
    """Two searches that know the sampler's draws, and nothing of the warm-up that it was trained on.

    Args:
        sampler: the sampler that is judged.
        white: the target in whitened coordinates.
        ends: ends of on-policy paths ``(N, D)``, whitened.
        log_weights: their log weights ``(N,)`` in nats.
        seed: one that no fit has used, so that a search changes no draw.
    """

    sampler: DiffusionSampler
    white: WhitenedTarget
    ends: Tensor
    log_weights: Tensor
    seed: int

    def elsewhere(self, seconds: float) -> ModeSearch | Unbounded | str:
        """Mass in modes that the sampler misses; a text if the search was not made.

        Optimisation runs start from draws, from Cauchy points around them, and from points of a Sobol sequence whose
        density no known mode explains. This is another law than the warm-up's. Tempering then starts from the
        Gaussians at the optima, from one around them all, and from one around the draws.
        """
        return self._looked(self._elsewhere, seconds, mode_search.CALLS)

    def beyond(self, seconds: float) -> Estimate | str:
        """The share of the mass beyond the draws, as along a curved valley; a text if the search was not made."""
        return self._looked(self._beyond, seconds, frontier.CALLS)

    def _looked(self, look: Callable[[float, float], Found | None], seconds: float, calls: int) -> Found | str:
        """What ``look(seconds, time of its start)`` found; a text if it could not look."""
        needed = calls * seconds_a_particle(self.white, self.ends)
        if self.white.dim > MANY:
            return f"not looked at: {self.white.dim} dimensions, over {MANY}"
        if not self._log_evidence > -torch.inf:
            return "not looked at: every weight is zero"
        if needed > seconds:
            return f"not looked at: it would take {needed:.0f} s; write guide.at().explore(seconds={2 * needed:.0f})"
        try:
            found = look(seconds, time.perf_counter())
        except ModelError:
            raise
        except ValueError as error:
            return f"not looked at: {error}"
        return found or f"not looked at in {seconds:.0f} s; write guide.at().explore(seconds={4 * seconds:.0f})"

    @property
    def _log_evidence(self) -> float:
        return log_evidence(self.log_weights).value

    def _generator(self) -> Generator:
        return torch.Generator(self.white.device).manual_seed(self.seed)

    def _backward(self, generator: Generator) -> LogWeights:
        parts = self.sampler.process, self.sampler.policy, self.white
        return partial(reverse_log_weights, *parts, generator=generator)

    def _elsewhere(self, seconds: float, began: float) -> ModeSearch | Unbounded | None:
        def late(part: float) -> bool:
            return time.perf_counter() - began > part * seconds

        generator = self._generator()
        law = cube_rays(self.white.unwhiten(self.ends).double(), self.white.scale_tril, self.seed % 2**31)
        screening = Screening(self.white.target, law, SCREENING * seconds, generator)
        starts = self._starts(generator)
        try:
            modes, _ = find_modes(self.white.target, starts, screening, generator, lambda: late(0.5))
        except Improper as error:
            return Unbounded(str(error))
        base = self._base(modes.inverse_affine(self.white.shift, self.white.scale_tril))
        weigh = self._backward(generator)
        return search_modes(self.white, base, weigh, self._log_evidence, generator, lambda: late(1.0))

    def _beyond(self, seconds: float, began: float) -> Estimate | str | None:
        def late() -> bool:
            return time.perf_counter() - began > seconds

        generator = self._generator()
        draws = self.ends[systematic(self.log_weights, frontier.DRAWS, generator)]
        weigh, value = self._backward(generator), self._log_evidence
        return frontier.frontier(self.white, draws, weigh, value, generator, late)

    def _starts(self, generator: Generator) -> Tensor:
        """Where optimisation runs start: a few of the sampler's own draws, and Cauchy draws three times as wide."""
        noise = torch.randn(
            FAR_STARTS, self.white.dim, generator=generator, dtype=torch.float64, device=self.white.device
        )
        far = noise / torch.randn(FAR_STARTS, 1, generator=generator, dtype=torch.float64, device=self.white.device)
        return self.white.unwhiten(torch.cat([self.ends[:OWN_STARTS].double(), 3 * far])).double()

    def _base(self, modes: GaussianMixture) -> GaussianMixture:
        """Where tempering starts: whitened ``modes``, a Gaussian around them all, and one around the draws."""
        identity = torch.eye(self.white.dim, dtype=torch.float64, device=self.white.device)
        own = GaussianMixture(identity[0, :1], 0 * identity[:1], 2 * identity[None])
        wide = wide_gaussian(mixture_of([modes, own], [0.5, 0.5]), 2.0)
        return mixture_of([wide, own, modes.widened((1.2,), (1.0,))], [2, 1, 2])
