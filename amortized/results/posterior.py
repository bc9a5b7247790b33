"""One posterior with a trained sampler: draws, evidence, a verdict, and the way to ArviZ."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch

from amortized._torch import placement
from amortized._types import Generator, Sites, Tensor
from amortized.diagnostics.drift import CALLS, Drift, drift
from amortized.diagnostics.mass_search import MassSearch
from amortized.diagnostics.mode_search import ModeSearch, Unbounded
from amortized.diagnostics.remedies import GENERIC, Remedies
from amortized.diagnostics.verdict import Checks, Diagnosis, diagnose
from amortized.path import ScoredPath, rollout
from amortized.results.draws import Draws
from amortized.samplers import DiffusionSampler
from amortized.samplers.corrections import affordable_paths, check_correction, corrected, pool_size
from amortized.targets.affine import WhitenedTarget
from amortized.targets.cost import seconds_a_particle, timed
from amortized.targets.pyro.checks.precision import POINTS, rounding_rms
from amortized.targets.pyro.failures import tell
from amortized.targets.pyro.target import PyroTarget
from amortized.training.evaluation import reverse_log_weights
from amortized.weights import Estimate, effective_sample_fraction, log_evidence, systematic

POLISHED = 512
OTHER_SEED = 1_000_003
EVALUATED = 1_000
"""Ends at which density and gradient are looked at: a share of .5 % is five of them."""


@dataclass
class Posterior:
    """``sampler`` draws in the coordinates of ``white``; ``paths`` fresh ones are what every judgement reads.

    ``held_out``: draws ``(N, D)`` of the target in those coordinates and their log R; None to polish some of the
    sampler's own by MALA. ``warm_up``: a log evidence to agree with, whether it is to be trusted, and a word on it.
    ``uncovered``: nats by which its climbs met more density than its draws explain. ``remedies``: what to type
    where the verdict is bad. ``attributes`` are written beside the draws. ``checks_within``: seconds that chains and,
    if it ``explores``, each independent search may take before it is left out; ``draws_within``: seconds that the paths
    in excess of a ``draw`` may take before there are fewer of them.
    """

    sampler: DiffusionSampler
    white: WhitenedTarget
    generator: Generator
    method: str
    paths: int
    held_out: tuple[Tensor, Tensor] | None = None
    warm_up: tuple[Estimate, bool, str] | None = None
    uncovered: float = -math.inf
    remedies: Remedies = GENERIC
    attributes: dict[str, float | int | str] = field(default_factory=dict)
    draws_within: float = 15.0
    log_weights: Tensor | None = None
    reverse_log_weights: Tensor | None = None
    ends: Tensor | None = None
    seconds_a_path: float = 0.0
    checks_within: float = 0.5
    explores: bool = False
    drifted: Drift | str | None = None
    explored: ModeSearch | Unbounded | str | None = None
    beyond: Estimate | str | None = None
    rounded: float | str | None = None
    troubled: float | None = None

    @property
    def target(self) -> Any:
        """The density in the model's own unconstrained coordinates."""
        return self.white.target

    def weights(self) -> Tensor:
        """Log weights of fresh paths, drawn once."""
        if self.log_weights is None:
            with placement(self.white.device):
                drawn, seconds = timed(lambda: self.sampler.sample(self.white, self.paths, self.generator))
                self.ends, self.log_weights = drawn
                self.seconds_a_path = seconds / self.paths
        return self.log_weights

    def pilot(self) -> tuple[Tensor, Tensor]:
        """The fresh paths' ends ``(N, D)``, whitened, and their log weights."""
        weights = self.weights()
        return cast(Tensor, self.ends), weights

    def reverse_weights(self) -> Tensor:
        """Log weights of paths noised back from draws of the target, drawn once."""
        if self.reverse_log_weights is None:
            with placement(self.white.device), torch.no_grad():
                parts = self.sampler.process, self.sampler.policy, self.white
                draws = self.held_out or polished(self.sampler, self.white, POLISHED, self.pilot(), self.generator)
                self.reverse_log_weights = reverse_log_weights(*parts, draws, self.generator)
        return self.reverse_log_weights

    def draw(self, num_samples: int, correction: str = "resample") -> Draws:
        """``num_samples`` posterior draws with their record; ``correction`` as in ``sample``."""
        check_count(num_samples)
        check_correction(correction)
        pilot = self.pilot()
        began, calls = time.perf_counter(), self.target.calls
        with placement(self.white.device):
            self.target.check_unchanged()
            paths = self._paths(num_samples, correction)
            drawn = corrected(self.sampler, self.white, num_samples, correction, pilot, self.generator, paths)
            ends, log_weights = drawn
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

    def _paths(self, num_samples: int, correction: str) -> int:
        """How many paths to draw; warns where that takes long, or where half of the draws would tell nothing new."""
        weights = self.weights()
        wanted = pool_size(weights[:, None], num_samples)
        paths = affordable_paths(wanted, num_samples, self.seconds_a_path, self.draws_within)
        effective = effective_sample_fraction(weights) * paths
        if correction in ("resample", "mcmc") and 2 * effective < num_samples:
            tell(
                f"{num_samples:,} draws from {paths:,} paths are worth about {effective:,.0f} independent ones: the "
                "weights are uneven. See print(guide.diagnose()) for what to do"
            )
        return paths

    def sample(self, num_samples: int, correction: str = "resample") -> Sites:
        """Posterior draws ``{site: (num_samples, *event)}`` in the model's own space, deterministic sites included.

        ``correction="resample"`` draws paths in excess, so many that hardly any is needed twice, and resamples them by
        their weights; ``"none"`` returns the sampler's own draws; ``"mcmc"`` resamples and then makes 50 MALA moves
        each, of one step size that other chains have chosen; ``"sequential"`` resamples on the way, along the path.
        The draws are in random order. Warns where they are worth under half as many independent ones, or take over
        half of the guide's ``max_seconds``. Raises ``RuntimeError`` where the model or its data have changed since.
        """
        return self.draw(num_samples, correction).sites

    def log_evidence(self) -> Estimate:
        """log Z in nats with its standard error, from fresh paths."""
        return log_evidence(self.weights())

    def diagnose(self) -> Diagnosis:
        """Whether to trust the draws: weights, bounds, agreement with other draws, and a verdict in plain words."""
        evidence, trusted, status = self.warm_up or (None, True, "")
        weights = self.weights(), self.reverse_weights()
        return diagnose(*weights, evidence, trusted, status, self.remedies, self.checks())

    def checks(self) -> Checks:
        """What the weights do not show: a model edited since, draws that drift, mass elsewhere; each looked at once."""
        with placement(self.white.device):
            changed = self.target.difference_from_model()
            if changed is None and self.drifted is None:
                self._look()
            if changed is None and self.explores and self.explored is None:
                self.explore(self.checks_within)
        return Checks(
            changed=changed,
            drift=self.drifted,
            mode_search=self.explored,
            beyond=self.beyond,
            target_calls=self.target.calls,
            uncovered=self.uncovered,
            rounding=self.rounded,
            troubles=tuple(self.target.troubles()),
            troubled=self.troubled or 0.0,
            scales=scales(self.target.latents),
            sites=len(self.target.latents),
        )

    def _look(self) -> None:
        """At the fresh paths' ends: chains from there, what cannot be evaluated, and what is rounded."""
        self.weights()
        ends = cast(Tensor, self.ends)
        cost = seconds_a_particle(self.white, ends)
        self.drifted = self._drift(CALLS * cost)
        ends, before = ends[: min(EVALUATED, 1 + int(self.checks_within / max(cost, 1e-9)))], self.white.nonfinite
        self.white.log_prob_and_score(ends)
        self.troubled = (self.white.nonfinite - before) / len(ends)
        if isinstance(self.target, PyroTarget):
            self.rounded = rounding_rms(self.target, self.white.unwhiten(self._resampled(POINTS)))

    def _resampled(self, count: int) -> Tensor:
        """``count`` of the fresh paths' ends, by their weights."""
        return cast(Tensor, self.ends)[systematic(self.weights(), count, self._other_generator())]

    def _drift(self, seconds: float) -> Drift | str:
        """Chains from the fresh paths' ends, where the density is cheap enough: ``seconds`` is what they would take."""
        weights, ends = self.weights(), cast(Tensor, self.ends)
        if seconds > self.checks_within:
            return f"not looked at: it would take {seconds:.0f} s"
        generator, coordinates = self._other_generator(), self.white.unwhiten
        found = drift(self.white, ends, weights, generator, coordinates, names(self.target.latents))
        return found or "not looked at: too few draws count"

    def explore(self, seconds: float) -> ModeSearch | Unbounded | str:
        """Two independent searches for mass that the sampler does not see, elsewhere and beyond its draws.

        Each may take ``seconds``. ``diagnose()`` reads what was found last; what is returned is the first search's.
        """
        search = MassSearch(self.sampler, self.white, *self.pilot(), self._other_seed)
        self.explored, self.beyond = search.elsewhere(seconds), search.beyond(seconds)
        return self.explored

    @property
    def _other_seed(self) -> int:
        """One whose numbers no fit has seen, so that looking changes no draw."""
        return self.generator.initial_seed() + OTHER_SEED

    def _other_generator(self) -> Generator:
        return torch.Generator(self.white.device).manual_seed(self._other_seed)

    def to_arviz(self, num_samples: int = 4_000, correction: str = "resample") -> Any:
        """The draws in ArviZ, as ``Draws.to_arviz``, with the verdict among their attributes."""
        return self.record(num_samples, correction).to_arviz()

    def record(self, num_samples: int, correction: str = "resample") -> Draws:
        """Draws that carry the verdict, all target calls so far, and what the weights say of them all."""
        draws, found = self.draw(num_samples, correction), self.diagnose()
        judged = {"verdict": found.verdict, "khat": found.khat, "ess_fraction": found.ess_fraction}
        return replace(draws, target_calls=self.target.calls, attributes={**draws.attributes, **judged})


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


def proposed(sampler: DiffusionSampler, white: WhitenedTarget, count: int) -> tuple[ScoredPath, Sites, Tensor]:
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


def scales(latents: Mapping[str, Any]) -> tuple[str, ...]:
    """Names, as ``names`` has them, of the coordinates of sites that are positive numbers."""
    positive = {name: site for name, site in latents.items() if is_positive(site.support)}
    return tuple(names(positive))


def is_positive(support: Any) -> bool:
    """Whether a site's values are positive numbers, up to a bound that is not that of a probability."""
    support = getattr(support, "base_constraint", support)
    lower, upper = getattr(support, "lower_bound", math.nan), getattr(support, "upper_bound", math.inf)
    return bool((torch.as_tensor(lower) == 0).all()) and not bool((torch.as_tensor(upper) == 1).all())


def check_count(number: int, name: str = "num_samples") -> None:
    """Raises ``ValueError`` for anything but a whole number from 1."""
    if not (isinstance(number, int) and number > 0):
        raise ValueError(f"{name}={number!r}: write a whole number from 1, for instance 4_000")
