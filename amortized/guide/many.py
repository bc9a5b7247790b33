"""What a guide learns from many data sets at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from amortized._torch import own_randomness
from amortized._types import Sites, Tensor
from amortized.amortization.family import Family
from amortized.amortization.prepare import prepare_family, untrained_gaussian, untrained_sampler
from amortized.amortization.training import train_family
from amortized.diagnostics.remedies import only
from amortized.guide.fitted import AS_ASKED, Answer, Fitted, Proposal, Simulations, proposed
from amortized.guide.plan import Plan
from amortized.guide.sharing import on_all, on_host, run_of
from amortized.parallel.group import current
from amortized.results.posterior import Posterior
from amortized.samplers import DiffusionSampler
from amortized.samplers.corrections import affordable_paths, corrected, pool_size
from amortized.targets.affine import WhitenedTarget
from amortized.targets.conditional.choosing import in_coordinates_for_all
from amortized.targets.conditional.contexts import LocalTo
from amortized.targets.conditional.reading import values_of_sites
from amortized.targets.conditional.simulation import simulate
from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.cost import timed
from amortized.targets.pyro.arguments import bound_arguments
from amortized.targets.pyro.choosing import moved_to
from amortized.targets.pyro.failures import tell
from amortized.training.record import Training
from amortized.weights import effective_sample_fraction, effective_sample_size

CAPTURE, CAPTURE_SECONDS = 0.1, 20.0
"""Part of ``max_seconds``, and the most seconds, in which the density is recorded as one batched program. Coordinates
are chosen in as long again."""
PREPARATION = 0.5
"""Part of ``max_seconds`` for simulations and the Gaussians: training gets what they leave."""
PATHS = 2_000
"""Fresh paths for one data set: a verdict then takes a fraction of a second."""
MORE_PATHS, SCARCE = 10_000, 0.3
"""Paths where the effective share is lower: the verdict asks for 400 effective paths, and finds them down to 4 %."""
PATHS_AT_ONCE = 32_768
"""Paths of several data sets in memory at once."""
PILOT = 256
"""Paths for each data set of a batch: enough to see whether a twentieth of them counts."""
FEW_STEPS = 100
"""Training steps below which ``fit`` warns: the sampler has hardly moved from its start."""
TOO_FEW, UNEVEN = 0.05, 0.5
"""Effective part of the paths below which resampled, and uncorrected, draws of a data set come with a warning."""
JOINT = "log joint density"
"""The name under which the joint density of latents and data is calibrated, beside the latents."""
REMEDY = (
    "These data look unlike what the guide was trained on. Write guide.refine(data, seconds=30) for this one data set, "
    "or fit again with data sets like it, and for longer: DiffusionGuide(model, amortize=..., max_seconds=900)."
)
"""What to type after any bad verdict: one data set has no training of its own that could be longer."""


@dataclass(frozen=True)
class Call:
    """The arguments of the model, data sets included, by place and by name."""

    args: Sequence
    kwargs: Mapping[str, Any]


class Many(Fitted):
    """The densities of all data sets, a Gaussian for each, and one sampler for them."""

    def __init__(self, model: Callable, args: Sequence, kwargs: Mapping[str, Any], plan: Plan):
        super().__init__(plan)
        options, limit = plan.options, plan.seconds
        capture_seconds = min(CAPTURE_SECONDS, CAPTURE * limit)
        self._read(model, Call(args, kwargs))
        if options.coordinates == "auto":
            asked = self._target, options.seed, capture_seconds, current().ranks
            self._target, self.coordinates = in_coordinates_for_all(*asked)
        else:
            self.coordinates = dict.fromkeys(self._target.latents, AS_ASKED)
        run = run_of(self._target, plan, self.generator)
        asked = self._target, plan.make_sampler(), options.embedding
        with own_randomness(plan.device, options.seed):
            self.prepared = prepare_family(*asked, self.generator, PREPARATION * limit, options.progress, run)
        self._take(self.prepared.family, self.prepared.sampler)

    @classmethod
    def untrained(cls, model: Callable, call: Call, plan: Plan, centring: Sites) -> Many:
        """The same parts with no pairs and nothing learned, for weights that are known already.

        Args:
            model: As in the constructor.
            call: The arguments of ``fit``.
            plan: The options.
            centring: c of each latent that was moved, by site.

        Raises:
            ValueError: The model cannot be moved to ``centring``.
        """
        many = cls.__new__(cls)
        Fitted.__init__(many, plan)
        many._read(model, call)
        target, seed = many._target, plan.options.seed
        if centring:
            joint = moved_to(target.joint, centring, seed, CAPTURE_SECONDS)
            if joint is None:
                raise ValueError(f"the sites {', '.join(centring)} cannot be moved to the coordinates of the fit")
            target = many._target = target.with_joint(joint)
        with own_randomness(plan.device, seed):
            one = torch.ones(target.dim, device=target.device)
            gaussian = untrained_gaussian(target, plan.options.embedding, target.rows[:2], 0 * one, one)
            family = Family(target, gaussian, target.rows, 0)
            many._take(family, untrained_sampler(family, plan.make_sampler()))
        return many

    def _read(self, model: Callable, call: Call) -> None:
        """Read the model's density and data sets, in coordinates as written."""
        options = self.plan.options
        assert options.amortize is not None
        self.model, self.amortize, self.call = model, options.amortize, call
        seconds = min(CAPTURE_SECONDS, CAPTURE * self.plan.seconds)
        asked = model, self.amortize, call.args, call.kwargs
        self._target = ConditionalTarget(*asked, seed=options.seed, capture_seconds=seconds)

    def _take(self, family: Family, sampler: DiffusionSampler) -> None:
        self.family, self.sampler = family, sampler
        self.gaussian, self.latents = family.gaussian, self._target.latents

    @property
    def target(self) -> ConditionalTarget:
        return self._target

    @property
    def moved(self) -> list[str]:
        return self._target.joint.moved

    @property
    def training_of_one(self) -> None:
        return None

    def check(self, args: Sequence, kwargs: Mapping[str, Any]) -> None:
        """Nothing to check: another ``fit`` may bring data sets of another size."""

    def train(self, seconds: float) -> Training:
        """Train on all data sets; warns where time allowed too few steps."""
        recipe, options = self.plan.recipe, self.plan.options
        with own_randomness(self.plan.device, options.seed):
            record = train_family(self.prepared, recipe, seconds, self.generator, options.progress)
        self.training_record = record
        steps = len(record.bridge_losses) + len(record.losses)
        wanted = min(FEW_STEPS, recipe.bridge_steps + recipe.steps)
        if steps < wanted and not any(judged.overlap >= recipe.enough for _, judged in record.evaluations):
            tell(
                f"max_seconds={self.plan.seconds:g} left time for {steps} training steps: write "
                "DiffusionGuide(model, amortize=..., max_seconds=900)"
            )
        return record

    def sampler_moved(self) -> None:
        """Nothing to forget: every posterior is made anew."""

    def given(self, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        return args, kwargs

    def rows(self, data: Sequence[Any], named: Mapping[str, Any]) -> tuple[Tensor, bool]:
        """Contexts ``(M, C)`` from what the user passed, and whether it was one alone."""
        contexts = self._target.contexts
        rows, alone = contexts.rows(contexts.ordered(data, named))
        return rows.to(self._target.device), alone

    def _only_row(self, data: Sequence[Any], named: Mapping[str, Any], instead: str) -> Tensor:
        """The context ``(1, C)``; raises ``ValueError`` for several."""
        rows, alone = self.rows(data, named)
        if not alone:
            raise ValueError(f"{len(rows)} data sets at once: {instead}")
        return rows

    def posterior(self, data: Sequence[Any], named: Mapping[str, Any]) -> Posterior:
        return self._given(self._only_row(data, named, "write [guide.at(y) for y in data]"))

    @torch.no_grad()
    def _given(self, row: Tensor) -> Posterior:
        """The posterior given one context ``(1, C)``; warns where too few paths count."""
        posterior = Posterior(
            sampler=self.trained,
            white=self.family.at(row),
            generator=self.generator,
            method=self.plan.name,
            paths=PATHS,
            remedies=only(REMEDY),
            attributes=self.attributes,
            draws_within=self.draws_within,
        )
        if effective_sample_fraction(posterior.weights()) < SCARCE:
            posterior = replace(posterior, paths=MORE_PATHS)  # all of them new: chosen ones would be biased
        _warn(effective_sample_size(posterior.weights()[:, None]) / posterior.paths)
        return posterior

    @torch.no_grad()
    def whitened(self, data: Sequence[Any], named: Mapping[str, Any]) -> WhitenedTarget:
        return self.family.at(self._only_row(data, named, "refine takes one, guide.refine(y[0])"))

    def sample(self, data: Sequence[Any], named: Mapping[str, Any], num_samples: int, correction: str) -> Sites:
        """Draws; warns of data sets whose weights say not to trust them."""
        rows, alone = self.rows(data, named)
        sites = self._draws(rows, num_samples, correction, lambda white, ends: white.constrain(ends))
        return {name: value[0] for name, value in sites.items()} if alone else sites

    def ask(
        self, question: Callable[[Posterior], Answer], data: Sequence[Any], named: Mapping[str, Any]
    ) -> Answer | list[Answer]:
        rows, alone = self.rows(data, named)
        found = self.answers(question, rows)
        return found[0] if alone else found

    def answers(self, question: Callable[[Posterior], Answer], rows: Tensor) -> list[Answer]:
        """The answer of the posterior of each context ``(M, C)``."""
        return on_all(rows, self.generator, lambda own: [question(self._given(row[None])) for row in own])

    def _draws(
        self, rows: Tensor, num_samples: int, correction: str, of: Callable[[WhitenedTarget, Tensor], Sites]
    ) -> Sites:
        """What is asked ``of`` the draws ``(M, num_samples, …)``; every process draws for its part of the contexts."""
        parts = on_all(rows, self.generator, lambda own: self._drawn(own, num_samples, correction, of))
        _warn(torch.cat([fractions for _, fractions in parts]), correction)
        return {name: torch.cat([sites[name] for sites, _ in parts]).to(rows.device) for name in parts[0][0]}

    def _drawn(self, rows: Tensor, num_samples: int, correction: str, of: Callable) -> list[tuple[Sites, Tensor]]:
        """For some contexts at a time what is asked of their draws, and the effective part of their paths."""
        found, sampler = [], self.trained
        for part in rows.split(max(1, PATHS_AT_ONCE // (2 * num_samples))):
            white = self.family.at(part)
            with torch.no_grad():
                pilot, seconds = timed(partial(sampler.sample, white, PILOT * len(part), self.generator))
            by_context = pilot[1].unflatten(0, (PILOT, len(part)))
            within = self.draws_within * len(part) / len(rows)
            paths = affordable_paths(pool_size(by_context, num_samples), num_samples, seconds / PILOT, within)
            ends = corrected(sampler, white, num_samples, correction, pilot, self.generator, paths)[0]
            sites = on_host(
                {name: v.unflatten(0, (num_samples, -1)).transpose(0, 1) for name, v in of(white, ends).items()}
            )
            found.append((sites, effective_sample_size(by_context).cpu() / PILOT))
        return found

    @torch.no_grad()
    def log_weights(self, data: Sequence[Any], named: Mapping[str, Any], count: int) -> Tensor:
        (rows, alone), sampler, columns = self.rows(data, named), self.trained, []
        for part in rows.split(max(1, PATHS_AT_ONCE // count)):
            _, log_weights = sampler.sample(self.family.at(part), count * len(part), self.generator)
            columns.append(log_weights.unflatten(0, (count, len(part))))
        return columns[0][:, 0] if alone else torch.cat(columns, 1)

    def simulated(self, count: int) -> Simulations:
        target = self._target
        origin = torch.randint(len(target.rows), (count,), generator=self.generator, device=target.device)
        seed = int(torch.randint(2**31, (), generator=self.generator, device=target.device))
        x, rows = simulate(target, target.rows[origin], seed)
        current().ranks.copy_first([x, rows])
        truth = target.at(rows)
        sites = truth.constrain(x)

        def joint(white: WhitenedTarget, ends: Tensor) -> Sites:
            return {**white.constrain(ends), JOINT: white.log_prob(ends) - white.log_dets(len(ends))}

        truths = {**{name: sites[name] for name in self.latents}, JOINT: truth.log_prob(x).double()}
        return Simulations(truths, partial(self._draws, rows, of=joint))

    def propose(self, args: Sequence, kwargs: Mapping[str, Any], count: int) -> Proposal:
        local = self.amortize if isinstance(self.amortize, LocalTo) else None
        arguments = bound_arguments(self.model, args, kwargs).arguments
        parts = self._target.contexts.parts
        sites = values_of_sites(self.model, args, kwargs, [part.name for part in parts if not part.argument])
        data = [arguments[part.name] if part.argument else sites[part.name][0] for part in parts]
        rows, _ = self.rows(data if local else [value[None] for value in data], {})
        return proposed(self.sampler, self.family.at(rows), count * len(rows), local and local.plate)


def _warn(fractions: Tensor, correction: str = "resample") -> None:
    """Warns of contexts where under a twentieth of the paths counts, of uncorrected draws already under a half.

    ``fractions: (M,)``, NaN where none does.
    """
    uncorrected = correction == "none"
    poor = ~(fractions >= (UNEVEN if uncorrected else TOO_FEW))
    if not poor.any():
        return
    places = poor.nonzero()[:, 0].tolist()
    which = "this data set" if len(fractions) == 1 else f"{len(places)} of {len(fractions)} data sets {places[:8]}"
    worth = f"{float(fractions[poor].nan_to_num(0.0).median()):.1%} effective draws"
    if uncorrected:
        text = f"at {which} uncorrected draws are off ({worth}): write correction='resample'"
    else:
        text = f"at {which} the sampler is not to be trusted: {worth}. {REMEDY}"
    tell(text)
