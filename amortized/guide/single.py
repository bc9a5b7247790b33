"""What a guide learns from one data set."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from amortized._types import Sites, Tensor
from amortized.diagnostics.chain_check import checked
from amortized.diagnostics.remedies import in_python
from amortized.guide.fitted import AS_ASKED, Fitted, Proposal, proposed
from amortized.guide.plan import Plan
from amortized.results.chain_draws import agreeing, taken
from amortized.results.judged import NEAR
from amortized.results.posterior import Posterior
from amortized.samplers import DiffusionSampler
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Target
from amortized.targets.pyro.choosing import in_chosen_coordinates
from amortized.targets.pyro.failures import tell
from amortized.targets.pyro.target import PyroTarget
from amortized.training.candidates import candidate
from amortized.training.few_calls import weighed_once
from amortized.training.preparation import Prepared, prepare, warm_up_checked
from amortized.training.recipe import train, train_from
from amortized.training.record import Training, material_of
from amortized.training.repair import needs_repair, repaired
from amortized.training.straightening import in_straight_coordinates
from amortized.warmup import WarmUp

CAPTURE, CAPTURE_SECONDS = 0.2, 20.0
"""Part of ``max_seconds``, and the most seconds, in which the density is recorded as one batched program."""
CHOICE = 0.1
"""Part of ``max_seconds`` for the choice of coordinates, which takes a second or two of it."""
WARM_UP = 0.5
"""Part of ``max_seconds`` for the warm-up: training gets what it leaves."""
PATHS = 8_000
"""Fresh paths: an evidence of even weights is then known to a hundredth of a nat."""
EXPENSIVE_PATHS = 2_000
"""Fresh paths of a density of over 50 microseconds a particle: still 600 effective ones at the limit of 30 %."""
CHECKS_WITHIN, CHECKS_PART = 5.0, 0.1
"""Seconds, or the part of ``max_seconds`` if that is more, that each independent check may take."""
STRAIGHTENING = 0.5
"""Part of the time for training in which coordinates are straightened: neither training nor bridges mend a bend."""
SLOW_DRAWS = 0.4
"""Part of the seconds of a draw where few calls fit in: of 5 ms and 300 s, 4,000 draws then come from 6,000 paths."""
REPAIR_CALLS = 20_000
"""Calls that must fit into the time of a repair: with fewer, two sensors took 9,000, past their time, for nothing."""
EVEN_BESIDE_CHAINS = 0.3
"""Effective share of untrained paths from which nothing is trained where chains agree: the draws are right already, and
a share of 30 % is trustworthy. On breast cancer 45 s of training took it from 46 to 88 %, and log Z was .003 off."""
CHAINS_FIRST = 0.75
"""Part of the time after the warm-up in which chains that nearly agree go on: right draws are worth more than log Z."""
WEIGHING = 0.25
"""Part of the time for training in which the untrained sampler is weighed, on finer grids as long as they fit."""
CHAINS_WITHIN = 0.15
"""Part of ``max_seconds`` for chains that start from the paths, where neither weights nor the warm-up's chains hold."""


class Single(Fitted):
    """The density of one data set, warmed up and whitened, and a sampler that starts from the warm-up's mixture.

    Args:
        model: A Pyro model.
        args: Its positional arguments.
        kwargs: Its arguments by name.
        plan: The options.
        like: A fit of the same model and arguments, whose recorded density and coordinates this one takes over.
    """

    def __init__(
        self, model: Callable, args: Sequence, kwargs: Mapping[str, Any], plan: Plan, like: Single | None = None
    ):
        super().__init__(plan)
        seed, limit = plan.options.seed, plan.seconds
        if like is not None:
            self._target, self.coordinates = like.target.again(), dict(like.coordinates)
        else:
            capture_seconds = min(CAPTURE_SECONDS, CAPTURE * limit)
            self._target = PyroTarget(model, args, kwargs, seed=seed, capture_seconds=capture_seconds)
            if plan.options.coordinates == "auto":
                self._target, self.coordinates = in_chosen_coordinates(self._target, seed, CHOICE * limit)
            else:
                self.coordinates = dict.fromkeys(self._target.latents, AS_ASKED)
        progress, components = plan.options.progress, plan.components
        self._target.compiles = plan.options.compile
        if plan.options.compile is True and not self._target.quicken(math.inf):
            tell(f"compile=True: the density runs uncompiled ({self._target.not_compiled or self._target.batching})")
        warm = warm_up_checked(self._target, self.generator, WARM_UP * limit, components=components, progress=progress)
        self._take(self._target, self._prepare(self._target, warm))

    @classmethod
    def untrained(cls, target: PyroTarget, made: Prepared, plan: Plan) -> Single:
        """What a fit has prepared, with nothing trained yet."""
        single = cls.__new__(cls)
        Fitted.__init__(single, plan)
        single._take(target, made)
        return single

    def _take(self, target: PyroTarget, made: Prepared) -> None:
        self._target, self.latents = target, target.latents
        self.prepared, self.sampler = made, made.sampler
        self._posterior: Posterior | None = None

    def _prepare(self, target: Target, warm: WarmUp) -> Prepared:
        plan = self.plan
        return prepare(target, warm, plan.make_sampler, self.generator, plan.options.seed, plan.reference)

    @property
    def target(self) -> PyroTarget:
        return self._target

    @property
    def moved(self) -> list[str]:
        return self._target.moved

    @property
    def training_of_one(self) -> Training | None:
        return self.training_record

    def check(self, args: Sequence, kwargs: Mapping[str, Any]) -> None:
        self._target.check_arguments(args, kwargs)

    def train(self, seconds: float) -> Training:
        """Train the sampler, then weigh its paths: the verdict belongs to the fit."""
        until, recipe = time.perf_counter() + seconds, self.plan.recipe
        progress, draws = self.plan.options.progress, (self.prepared.ends, self.prepared.log_ends)
        if recipe.even >= 1:
            record = train(self.sampler, self.prepared.white, draws, recipe, seconds, self.generator, progress)
        elif self.prepared.is_slow(seconds):
            record = self._weighed_once(until)
        else:
            record = self._trained_where_it_pays(until)
        self.training_record = record
        self._posterior = None
        posterior = self.posterior((), {})
        posterior.reverse_weights()
        posterior.weights()
        _ = posterior.chains  # which run now, if they are needed: a draw then takes milliseconds
        return self.training_record

    def _weighed_once(self, until: float) -> Training:
        """The record of the untrained sampler where few calls fit; it is repaired if many are left."""
        made, recipe = self.prepared, self.plan.recipe
        material = material_of(made.white, (made.ends, made.log_ends), recipe.held_out)
        left = until - time.perf_counter()
        record = weighed_once(self.sampler, material, recipe, left, made.seconds_a_call, self.generator)
        left = until - time.perf_counter()
        if needs_repair(record) and left > REPAIR_CALLS * made.seconds_a_call:
            self.sampler = self._repaired(record, left) or self.sampler
        return record

    def _trained_where_it_pays(self, until: float) -> Training:
        """The record of the best of: no training, straight coordinates, training, rounds of bridges."""
        self._let_chains_agree(until - time.perf_counter())
        made, recipe, progress = self.prepared, self.plan.recipe, self.plan.options.progress
        if made.warm.chains is not None and checked(made.warm.chains).agrees:
            recipe = replace(recipe, even=min(recipe.even, EVEN_BESIDE_CHAINS))
        material = material_of(made.white, (made.ends, made.log_ends), recipe.held_out)
        how = recipe.refinements, recipe.even, self.generator
        part = WEIGHING * max(0.0, until - time.perf_counter())
        untrained, tried = candidate(self.sampler.process, made.white, material.held_out, *how, part), ""
        # draws that a valley was cut from may have even weights, but the warm-up's checks disagree
        if not (untrained.is_even(recipe.even) and made.warm.trustworthy):
            asked = made, untrained, self._prepare, recipe, STRAIGHTENING * (until - time.perf_counter())
            made, untrained, tried = in_straight_coordinates(*asked, self.generator, progress)
            if made is not self.prepared:
                self.prepared, self.sampler = made, made.sampler
                material = material_of(made.white, (made.ends, made.log_ends), recipe.held_out)
        left = max(0.0, until - time.perf_counter())
        record = train_from(untrained, material, self.sampler, recipe, left, self.generator, progress)
        if needs_repair(record):
            self.sampler = self._repaired(record, until - time.perf_counter()) or self.sampler
        if made.white.target is not self._target:
            record.source = f"{record.source} in straightened coordinates"
        record.outcome = "; ".join(filter(None, [tried, record.outcome]))
        return record

    def _repaired(self, record: Training, seconds: float) -> DiffusionSampler | None:
        """A better sampler by rounds of bridges to the warm-up's draws, or to those of its chains."""
        began, made, progress = time.perf_counter(), self.prepared, self.plan.options.progress
        chains, ends = made.warm.chains, made.ends
        if chains is not None and chains.rhat < NEAR:
            ends = made.white.whiten(taken(chains, min(len(ends), chains.log_prob.numel()))[0])
            ends = ends[torch.randperm(len(ends), generator=self.generator, device=ends.device)]
        exact = chains is not None and checked(chains).agrees
        left = seconds - (time.perf_counter() - began)
        return repaired(record, made.white, ends, left, exact, self.generator, progress)

    def _let_chains_agree(self, seconds: float) -> None:
        """Chains that nearly agree go on before anything else: right draws are worth more than log Z."""
        made = self.prepared
        chains = made.warm.chains
        if chains is None or chains.rhat >= NEAR or checked(chains).agrees:
            return
        if self.plan.options.progress:
            print(f"training: the warm-up's chains go on, for at most {CHAINS_FIRST * seconds:.0f} s")
        chains = agreeing(chains, made.white.target, CHAINS_FIRST * seconds, self.generator)
        self.prepared = replace(made, warm=replace(made.warm, chains=chains))

    def sampler_moved(self) -> None:
        self._posterior = None
        if self.training_record is not None:
            self.training_record = replace(self.training_record, kept=None, fresh=None)

    def given(self, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """Nothing: the data are those of ``fit``, whatever arguments Pyro passes on."""
        return (), {}

    def posterior(self, data: Sequence[Any], named: Mapping[str, Any]) -> Posterior:
        """The only one, made again after SVI has moved the sampler."""
        _check_no_data(data, named)
        if self._posterior is None:
            self._posterior = self.new_posterior()
        return self._posterior

    def new_posterior(self) -> Posterior:
        """The posterior with nothing computed yet."""
        plan, made, record = self.plan, self.prepared, self.training_record
        held_out, options = plan.recipe.held_out, plan.options
        typed = plan.name, options.seed, plan.untried, plan.seconds, plan.recipe.enough, options.coordinates
        return Posterior(
            sampler=self.trained,
            white=made.white,
            generator=self.generator,
            method=plan.name,
            paths=EXPENSIVE_PATHS if made.expensive else PATHS,
            held_out=(made.ends[:held_out], made.log_ends[:held_out]),
            warm_up=made.warm,
            remedies=in_python(*typed),
            attributes=self.attributes,
            checks_within=max(CHECKS_WITHIN, CHECKS_PART * plan.seconds),
            draws_within=self.draws_within * (SLOW_DRAWS if made.is_slow(plan.seconds) else 1.0),
            explores=True,
            chains_within=CHAINS_WITHIN * plan.seconds,
            weighed=record.fresh if record is not None else None,
            cut_short="; ".join(filter(None, [made.warm.cut_short, record.cut_short if record is not None else ""])),
        )

    def whitened(self, data: Sequence[Any], named: Mapping[str, Any]) -> WhitenedTarget:
        _check_no_data(data, named)
        return self.prepared.white

    def sample(self, data: Sequence[Any], named: Mapping[str, Any], num_samples: int, correction: str) -> Sites:
        return self.posterior(data, named).sample(num_samples, correction)

    def log_weights(self, data: Sequence[Any], named: Mapping[str, Any], count: int) -> Tensor:
        return self.trained.sample(self.whitened(data, named), count, self.generator)[1]

    def propose(self, args: Sequence, kwargs: Mapping[str, Any], count: int) -> Proposal:
        """Paths of the sampler. Warns where Pyro is about to predict from them, and only chains give right draws."""
        known = self._posterior
        if not torch.is_grad_enabled() and known is not None and known.chains is not None:
            tell(
                "Pyro takes the sampler's own paths here, but chains give the draws of the verdict: write "
                "Predictive(model, posterior_samples=guide.sample(1_000))"
            )
        return proposed(self.sampler, self.prepared.white, count)

    def simulated(self, count: int) -> None:
        return None


def _check_no_data(data: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` for data sets, and for options that are none."""
    if named:
        name = next(iter(named))
        raise ValueError(
            f"{name}= is no option here, and this guide was fitted to one data set: leave it out, or write "
            f"DiffusionGuide(model, amortize={name!r}) to pass data"
        )
    if data:
        raise ValueError(
            f"{len(data)} data sets for a guide that was fitted to one: write DiffusionGuide(model, amortize='y'), "
            "naming the argument; options such as correction= are passed by name"
        )
