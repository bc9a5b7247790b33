"""One posterior with a trained sampler: draws, evidence, a verdict, and the way to ArviZ."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, cast

import torch

from amortized._types import Generator, Sites, Tensor
from amortized.diagnostics.drift import CALLS, Drift, drift
from amortized.diagnostics.evaluation import reverse_log_weights
from amortized.diagnostics.exploration import CALLS_TO_EXPLORE, Exploration, explore
from amortized.diagnostics.verdict import Checks, Diagnosis, diagnose
from amortized.diagnostics.weights import log_evidence
from amortized.estimate import Estimate
from amortized.mcmc.mixture import GaussianMixture, join
from amortized.path import Path, rollout
from amortized.posterior_draws import Draws
from amortized.samplers import DiffusionSampler
from amortized.samplers.corrections import corrected
from amortized.targets.cost import seconds_a_particle
from amortized.targets.devices import placement
from amortized.targets.whitening import WhitenedTarget
from amortized.warmup.modes import find_modes
from amortized.warmup.run import MANY
from amortized.warmup.screening import Screening, cube_rays
from amortized.warmup.tempering import wide_gaussian

POLISHED = 512
CLIMBS, OWN = 24, 8
SCREENED = 4
"""Times the search's seconds, of which points without gradients may take 2 or 15 %: up to half of them."""

OTHER_SEED = 1_000_003


@dataclass
class Posterior:
    """``sampler`` draws in the coordinates of ``white``; ``paths`` fresh ones are what every judgement reads.

    ``held_out``: draws ``(N, D)`` of the target in those coordinates and their log R; None to polish some of the
    sampler's own by MALA. ``warm_up``: a log evidence to agree with, whether it is to be trusted, and a word on it.
    ``remedy``: what to do where the verdict is bad. ``attributes`` are written beside the draws. ``checks_within``:
    seconds that chains and, if it ``explores``, the independent search may take before they are left out.
    """

    sampler: DiffusionSampler
    white: WhitenedTarget
    generator: Generator
    method: str
    paths: int
    held_out: tuple[Tensor, Tensor] | None = None
    warm_up: tuple[Estimate, bool, str] | None = None
    remedy: str | None = None
    attributes: dict[str, float | int | str] = field(default_factory=dict)
    log_weights: Tensor | None = None
    reverse_log_weights: Tensor | None = None
    ends: Tensor | None = None
    checks_within: float = 0.5
    explores: bool = False
    drifted: Drift | str | None = None
    explored: Exploration | str | None = None

    @property
    def target(self) -> Any:
        """The density in the model's own unconstrained coordinates."""
        return self.white.target

    def weights(self) -> Tensor:
        """Log weights of fresh paths, drawn once."""
        if self.log_weights is None:
            with placement(self.white.device):
                self.ends, self.log_weights = self.sampler.sample(self.white, self.paths, self.generator)
        return self.log_weights

    def reverse_weights(self) -> Tensor:
        """Log weights of paths noised back from draws of the target, drawn once."""
        if self.reverse_log_weights is None:
            with placement(self.white.device), torch.no_grad():
                parts = self.sampler.process, self.sampler.policy, self.white
                draws = self.held_out or polished(self.sampler, self.white, POLISHED, self.weights(), self.generator)
                self.reverse_log_weights = reverse_log_weights(*parts, draws, self.generator)
        return self.reverse_log_weights

    def draw(self, num_samples: int, correction: str = "resample") -> Draws:
        """``num_samples`` posterior draws with their record; ``correction`` as in ``sample``."""
        check_count(num_samples)
        weights = self.weights()
        began, calls = time.perf_counter(), self.target.calls
        with placement(self.white.device):
            ends, log_weights = corrected(self.sampler, self.white, num_samples, correction, weights, self.generator)
            x = self.white.unwhiten(ends)
            sites = self.target.constrain(x)
        return Draws(
            sites=sites,
            method=self.method,
            states=x,
            target=self.target,
            log_weights=log_weights,
            log_evidence=self.log_evidence(),
            seconds=time.perf_counter() - began,
            target_calls=self.target.calls - calls,
            attributes={**self.attributes, "correction": correction},
        )

    def sample(self, num_samples: int, correction: str = "resample") -> Sites:
        """Posterior draws ``{site: (num_samples, *event)}`` in the model's own space, deterministic sites included.

        ``correction="resample"`` draws paths in excess and resamples them by their weights; ``"none"`` returns the
        sampler's own draws; ``"mcmc"`` resamples and then makes 50 MALA moves each; ``"sequential"`` resamples on
        the way, along the path.
        """
        return self.draw(num_samples, correction).sites

    def log_evidence(self) -> Estimate:
        """log Z in nats with its standard error, from fresh paths."""
        return log_evidence(self.weights())

    def diagnose(self) -> Diagnosis:
        """Whether to trust the draws: weights, bounds, agreement with other draws, and a verdict in plain words."""
        evidence, trusted, status = self.warm_up or (self.log_evidence(), True, "")
        weights = self.weights(), self.reverse_weights()
        return diagnose(*weights, evidence, trusted, status, self.remedy, self.checks())

    def checks(self) -> Checks:
        """What the weights do not show: a model edited since, draws that drift, mass elsewhere; each looked at once."""
        with placement(self.white.device):
            changed = self.target.difference_from_model()
            if changed is None and self.drifted is None:
                self.drifted = self._drift()
            if changed is None and self.explores and self.explored is None:
                self.explore(self.checks_within)
        return Checks(changed, self.drifted, self.explored, self.target.calls)

    def _drift(self) -> Drift | str:
        """Chains from the fresh paths' ends, where the density is cheap enough."""
        weights, ends = self.weights(), cast(Tensor, self.ends)
        if (seconds := CALLS * seconds_a_particle(self.white, ends)) > self.checks_within:
            return f"not looked at: it would take {seconds:.0f} s"
        generator, coordinates = self._other_generator(), self.white.unwhiten
        found = drift(self.white, ends, weights, generator, coordinates, names(self.target.latents))
        return found or "not looked at: too few draws count"

    def explore(self, seconds: float) -> Exploration | str:
        """An independent search for mass that the sampler does not see; a word on why not, where it takes too long.

        Climbs from draws, from Cauchy starts around them, and from points of a Sobol sequence whose density no mode
        found so far explains: another law than the warm-up's. Then tempering from the Gaussians at the tops, from one
        around them all and from one around the draws. ``diagnose()`` reads the last.
        """
        try:
            self.explored = self._explore(seconds, time.perf_counter())
        except ValueError as error:
            self.explored = f"not explored: {error}"
        return self.explored

    def _explore(self, seconds: float, began: float) -> Exploration | str:
        if self.white.dim > MANY:
            return f"not explored: {self.white.dim} dimensions, over {MANY}"
        if not self.log_evidence().value > -torch.inf:
            return "not explored: no draw counts"
        if (needed := CALLS_TO_EXPLORE * seconds_a_particle(self.white, cast(Tensor, self.ends))) > seconds:
            return f"not explored: it would take {needed:.0f} s; write guide.at().explore(seconds={2 * needed:.0f})"

        def late(part: float) -> bool:
            return time.perf_counter() - began > part * seconds

        generator = self._other_generator()
        draws = self.white.unwhiten(cast(Tensor, self.ends)).double()
        law = cube_rays(draws, self.white.scale_tril, generator.initial_seed() % 2**31)
        screening = Screening(self.target, law, SCREENED * seconds, generator)
        modes, _ = find_modes(self.target, self._starts(generator), screening, generator, lambda: late(0.5))
        base = self._base(modes.inverse_affine(self.white.shift, self.white.scale_tril))
        parts = self.sampler.process, self.sampler.policy, self.white
        weigh = partial(reverse_log_weights, *parts, generator=generator)
        found = explore(self.white, base, weigh, self.log_evidence().value, generator, lambda: late(1.0))
        return found or f"not explored in {seconds:.0f} s; write guide.at().explore(seconds={4 * seconds:.0f})"

    def _starts(self, generator: Generator) -> Tensor:
        """Where the search's climbs start: a few of the sampler's own draws, and Cauchy draws three times as wide."""
        noise = torch.randn(CLIMBS, self.white.dim, generator=generator, dtype=torch.float64, device=self.white.device)
        far = noise / torch.randn(CLIMBS, 1, generator=generator, dtype=torch.float64, device=self.white.device)
        return self.white.unwhiten(torch.cat([cast(Tensor, self.ends)[:OWN].double(), 3 * far])).double()

    def _base(self, modes: GaussianMixture) -> GaussianMixture:
        """Where the search starts: whitened ``modes``, a Gaussian around them all, and one around the draws."""
        identity = torch.eye(self.white.dim, dtype=torch.float64, device=self.white.device)
        own = GaussianMixture(identity[0, :1], 0 * identity[:1], 2 * identity[None])
        return join([wide_gaussian(join([modes, own], [0.5, 0.5]), 2.0), own, modes.widened((1.2,), (1.0,))], [2, 1, 2])

    def _other_generator(self) -> Generator:
        """One whose numbers no fit has seen, so that looking changes no draw."""
        return torch.Generator(self.white.device).manual_seed(self.generator.initial_seed() + OTHER_SEED)

    def to_arviz(self, num_samples: int = 4_000, correction: str = "resample") -> Any:
        """The draws in ArviZ, as ``Draws.to_arviz``, with the verdict among their attributes."""
        return self.record(num_samples, correction).to_arviz()

    def record(self, num_samples: int, correction: str = "resample") -> Draws:
        """Draws that carry the verdict, all target calls so far, and what the weights say of them all."""
        draws, found = self.draw(num_samples, correction), self.diagnose()
        judged = {"verdict": found.verdict, "khat": found.khat, "ess_fraction": found.ess_fraction}
        return replace(draws, target_calls=self.target.calls, attributes={**draws.attributes, **judged})


def polished(
    sampler: DiffusionSampler, white: WhitenedTarget, count: int, log_weights: Tensor, generator: Generator
) -> tuple[Tensor, Tensor]:
    """``count`` of the sampler's own draws ``(count, D)``, resampled and moved by MALA, and their log R."""
    ends, _ = corrected(sampler, white, count, "mcmc", log_weights, generator)
    return ends, white.log_prob(ends).double()


def proposed(sampler: DiffusionSampler, white: WhitenedTarget, count: int) -> tuple[Path, Sites, Tensor]:
    """``count`` paths, the latents at their ends, and the logarithm of what the change of coordinates took."""
    path = rollout(sampler.process, sampler.policy, white, count, evaluate_ends=False)
    values, log_dets = cast(Any, white.target).unpack(white.unwhiten(path.ends))
    return path, values, white.log_dets(count) + torch.stack(list(log_dets.values())).sum(0)


def names(latents: Mapping[str, Any]) -> list[str]:
    """A name for every coordinate of the unconstrained space, in order."""
    return [
        site if latent.size == 1 else f"{site}[{index}]"
        for site, latent in latents.items()
        for index in range(latent.size)
    ]


def check_count(number: int, name: str = "num_samples") -> None:
    """Raises ``ValueError`` for anything but a whole number from 1."""
    if not (isinstance(number, int) and number > 0):
        raise ValueError(f"{name}={number!r}: write a whole number from 1, for instance 4_000")
