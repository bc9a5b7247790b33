"""What a guide learns when it is fitted to all data sets at once."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from amortized._torch import own_randomness
from amortized._types import Sites, Tensor
from amortized.amortization.prepare import prepare_family
from amortized.amortization.training import train_family
from amortized.diagnostics.calibration import Calibration, calibrate
from amortized.diagnostics.remedies import only
from amortized.guide.options import Settings
from amortized.path import ScoredPath
from amortized.results.posterior import Posterior, check_count, polished, proposed
from amortized.samplers import DiffusionSampler
from amortized.samplers.corrections import affordable_paths, corrected, pool_size
from amortized.targets.affine import WhitenedTarget
from amortized.targets.conditional.contexts import LocalTo
from amortized.targets.conditional.reading import values_of_sites
from amortized.targets.conditional.simulation import simulate
from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.cost import timed
from amortized.targets.pyro.arguments import bound_arguments
from amortized.targets.pyro.failures import tell
from amortized.training.recipe import Recipe, Training, train
from amortized.weights import effective_sample_size

PATHS = 2_000
PATHS_AT_ONCE = 32_768
POLISHED = 2_048
PILOT = 256
FEW_STEPS = 100
TOO_FEW, UNEVEN = 0.05, 0.5
JOINT = "log joint density"
REMEDY = (
    "These data look unlike what the guide was trained on. Write guide.refine(x, seconds=30) for this one data set, or "
    "fit again with data sets like it, and for longer: DiffusionGuide(model, amortize=..., max_seconds=900)."
)
REFINEMENT = Recipe(every=50, steps=2_000, enough=0.97)


class Many:
    """The densities of all data sets, a Gaussian for each, and one sampler for them."""

    def __init__(self, model: Callable, args: Sequence, kwargs: Mapping[str, Any], settings: Settings):
        assert settings.amortize is not None
        self.settings = settings
        self.model = model
        self.generator = torch.Generator(settings.device).manual_seed(settings.seed)
        seed, limit = settings.seed, settings.max_seconds
        capture_seconds = min(20.0, 0.1 * limit)
        self.target = ConditionalTarget(
            model, settings.amortize, args, kwargs, seed=seed, capture_seconds=capture_seconds
        )
        options = settings.make_sampler, settings.embedding, settings.langevin
        with own_randomness(settings.device, seed):
            self.made = prepare_family(
                self.target, *options, self.generator, 0.5 * limit, settings.progress, settings.preset
            )
        self.family, self.sampler = self.made.family, self.made.sampler
        self.gaussian = self.family.gaussian
        self.latents = self.target.latents

    def check(self, args: Sequence, kwargs: Mapping[str, Any]) -> None:
        """Nothing: another ``fit`` may bring data sets of another size."""

    def train(self, recipe: Recipe, seconds: float) -> Training:
        with own_randomness(self.settings.device, self.settings.seed):
            record = train_family(self.made, recipe, seconds, self.generator, self.settings.progress)
        steps = len(record.bridge_losses) + len(record.losses)
        wanted = min(FEW_STEPS, recipe.bridge_steps + recipe.steps)
        if steps < wanted and not any(judged.overlap >= recipe.enough for _, judged in record.evaluations):
            tell(
                f"max_seconds={self.settings.max_seconds:g} left time for {steps} training steps: write "
                "DiffusionGuide(model, amortize=..., max_seconds=900)"
            )
        return record

    def ordered(self, data: Sequence[Any], named: Mapping[str, Any]) -> tuple[Any, ...]:
        """The data by place and by name, in the guide's order; raises ``ValueError`` for unknown names."""
        return self.target.contexts.ordered(data, named)

    def rows(self, data: Sequence[Any]) -> tuple[Tensor, bool]:
        """Contexts ``(M, C)`` from what the user passes, and whether it is one alone."""
        rows, alone = self.target.contexts.rows(data)
        return rows.to(self.target.device), alone

    @torch.no_grad()
    def posterior(self, row: Tensor, sampler: DiffusionSampler, method: str) -> Posterior:
        """The posterior given one context ``(1, C)``; warns where its weights say that it is not to be trusted."""
        posterior = Posterior(
            sampler=sampler,
            white=self.family.at(row),
            generator=self.generator,
            method=method,
            paths=PATHS,
            remedies=only(REMEDY),
            attributes={"seed": self.settings.seed},
            draws_within=0.25 * self.settings.max_seconds,
        )
        _warn(effective_sample_size(posterior.weights()[:, None]) / PATHS)
        return posterior

    def sample(self, rows: Tensor, sampler: DiffusionSampler, num_samples: int, correction: str) -> Sites:
        """Draws ``{site: (M, num_samples, *event)}`` of M contexts; warns where weights say not to trust them."""
        drawn = self._draws(rows, sampler, num_samples, correction)
        return _by_context([white.constrain(ends) for white, ends in drawn], num_samples)

    def _draws(
        self, rows: Tensor, sampler: DiffusionSampler, num_samples: int, correction: str
    ) -> list[tuple[WhitenedTarget, Tensor]]:
        """For some contexts at a time their target and draws, whitened, contexts in turn."""
        found, fractions = [], []
        for part in rows.split(max(1, PATHS_AT_ONCE // (2 * num_samples))):
            white = self.family.at(part)
            with torch.no_grad():
                pilot, seconds = timed(partial(sampler.sample, white, PILOT * len(part), self.generator))
            by_context = pilot[1].unflatten(0, (PILOT, len(part)))
            fractions.append(effective_sample_size(by_context) / PILOT)
            within = 0.25 * self.settings.max_seconds * len(part) / len(rows)
            paths = affordable_paths(pool_size(by_context, num_samples), num_samples, seconds / PILOT, within)
            found.append((white, corrected(sampler, white, num_samples, correction, pilot, self.generator, paths)[0]))
        _warn(torch.cat(fractions), correction)
        return found

    @torch.no_grad()
    def log_weights(self, data: Sequence[Any], sampler: DiffusionSampler, count: int) -> Tensor:
        """Log weights ``(count, M)`` of fresh paths, ``count`` for each data set; ``(count,)`` for one alone."""
        (rows, alone), columns = self.rows(data), []
        for part in rows.split(max(1, PATHS_AT_ONCE // count)):
            _, log_weights = sampler.sample(self.family.at(part), count * len(part), self.generator)
            columns.append(log_weights.unflatten(0, (count, len(part))))
        return columns[0][:, 0] if alone else torch.cat(columns, 1)

    def refine(
        self, data: Sequence, named: Mapping[str, Any], sampler: DiffusionSampler, method: str, seconds: float
    ) -> Posterior:
        """A posterior whose sampler has gone on training on one data set alone, from polished draws of it."""
        row, alone = self.rows(self.ordered(data, named))
        if not alone:
            raise ValueError(f"{len(row)} data sets at once: refine takes one, guide.refine(y[0])")
        if not seconds > 0:
            raise ValueError(f"seconds={seconds}: write a positive number of seconds, for instance 10")
        own, recipe = copy.deepcopy(sampler), REFINEMENT
        with torch.no_grad():
            white = self.family.at(row)
            draws = polished(own, white, POLISHED, own.sample(white, PATHS, self.generator), self.generator)
        record = train(own, white, draws, recipe, seconds, self.generator, self.settings.progress)
        return Posterior(
            sampler=DiffusionSampler(record.sampling, own.policy),
            white=white,
            generator=self.generator,
            method=method,
            paths=4 * PATHS,
            held_out=(draws[0][: recipe.held_out], draws[1][: recipe.held_out]),
            attributes={"seed": self.settings.seed},
            draws_within=0.25 * self.settings.max_seconds,
        )

    def calibrate(self, sampler: DiffusionSampler, count: int, draws: int, correction: str) -> Calibration:
        """Simulation-based calibration on ``count`` data sets that were not trained on."""
        check_count(count, "count")
        check_count(draws, "draws")
        origin = torch.randint(len(self.target.rows), (count,), generator=self.generator, device=self.target.device)
        seed = int(torch.randint(2**31, (), generator=self.generator, device=self.target.device))
        x, rows = simulate(self.target, self.target.rows[origin], seed)
        drawn = self._draws(rows, sampler, draws, correction)
        found = _by_context([{**w.constrain(u), JOINT: w.log_prob(u) - w.log_dets(len(u))} for w, u in drawn], draws)
        given = self.target.at(rows)
        truths = {**given.constrain(x), JOINT: given.log_prob(x).double()}
        names = [*self.latents, JOINT]
        return calibrate({name: truths[name] for name in names}, {name: found[name] for name in names}, self.generator)

    def propose(
        self, args: Sequence, kwargs: Mapping[str, Any], count: int
    ) -> tuple[ScoredPath, Sites, Tensor, str | None]:
        """``count`` paths for every row of the arguments, as ``Single.propose``; the plate to which rows belong."""
        amortize = self.settings.amortize
        given = bound_arguments(self.model, args, kwargs).arguments
        parts = self.target.contexts.parts
        sites = values_of_sites(self.model, args, kwargs, [part.name for part in parts if not part.argument])
        data = [given[part.name] if part.argument else sites[part.name][0] for part in parts]
        rows, _ = self.rows(data if isinstance(amortize, LocalTo) else [value[None] for value in data])
        found = proposed(self.sampler, self.family.at(rows), count * len(rows))
        return *found, amortize.plate if isinstance(amortize, LocalTo) else None

    @property
    def moved(self) -> list[str]:
        """Parameters of the model that have changed since the density was captured."""
        return self.target.joint.moved

    @property
    def calls(self) -> int:
        return self.target.calls


def _by_context(pieces: Sequence[Sites], count: int) -> Sites:
    """Sites of some contexts at a time, ``(count · m, *event)``, as ``(M, count, *event)`` of all."""
    return {
        name: torch.cat([piece[name].unflatten(0, (count, -1)).transpose(0, 1) for piece in pieces])
        for name in pieces[0]
    }


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
