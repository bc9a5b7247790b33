"""What a guide learns when it is fitted to one data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from amortized._types import Sites, Tensor
from amortized.diagnostics.calibration import Calibration
from amortized.diagnostics.remedies import in_python
from amortized.guide.options import Settings
from amortized.path import ScoredPath
from amortized.results.posterior import Posterior, proposed
from amortized.samplers import DiffusionSampler
from amortized.targets.pyro.target import PyroTarget
from amortized.training.preparation import prepare
from amortized.training.recipe import Recipe, Training, train

PATHS = 8_000
DEAR_PATHS = 2_000
CHECKS_WITHIN = 5.0


class Single:
    """The density of one data set, warmed up and whitened, with a fresh sampler; then with a trained one."""

    def __init__(self, model: Callable, args: Sequence, kwargs: Mapping[str, Any], settings: Settings):
        self.settings = settings
        self.generator = torch.Generator(settings.device).manual_seed(settings.seed)
        limit = settings.max_seconds
        seed, capture_seconds = settings.seed, min(20.0, 0.2 * limit)
        self.target = PyroTarget(model, args, kwargs, seed=seed, capture_seconds=capture_seconds)
        made = prepare(
            self.target,
            settings.make_sampler,
            settings.langevin,
            self.generator,
            seed,
            0.5 * limit,
            settings.progress,
            settings.preset,
            components=settings.components,
        )
        self.white, self.warm, self.sampler = made.white, made.warm, made.sampler
        self.ends, self.log_ends = made.ends, made.log_ends
        self.paths = DEAR_PATHS if made.expensive else PATHS
        self.latents = self.target.latents

    def check(self, args: Sequence, kwargs: Mapping[str, Any]) -> None:
        """Raises ``ValueError`` for arguments of another structure."""
        self.target.check_arguments(args, kwargs)

    def train(self, recipe: Recipe, seconds: float) -> Training:
        draws, settings = (self.ends, self.log_ends), self.settings
        return train(self.sampler, self.white, draws, recipe, seconds, self.generator, settings.progress)

    def posterior(self, sampler: DiffusionSampler, method: str, recipe: Recipe) -> Posterior:
        """The one posterior."""
        settings = self.settings
        return Posterior(
            sampler=sampler,
            white=self.white,
            generator=self.generator,
            method=method,
            paths=self.paths,
            held_out=(self.ends[: recipe.held_out], self.log_ends[: recipe.held_out]),
            warm_up=(self.warm.log_evidence, self.warm.trustworthy, self.warm.status),
            uncovered=self.warm.uncovered,
            remedies=in_python(method, settings.seed, settings.untried, settings.max_seconds, recipe.enough),
            attributes={"seed": settings.seed},
            checks_within=max(CHECKS_WITHIN, 0.1 * settings.max_seconds),
            draws_within=0.25 * settings.max_seconds,
            explores=True,
        )

    def ordered(self, data: Sequence, named: Mapping[str, Any]) -> tuple[()]:
        """Nothing: raises ``ValueError`` for data sets, of which this guide knows one alone, and unknown options."""
        if named:
            raise ValueError(
                f"{next(iter(named))}= is no option here, and this guide was fitted to one data set: leave it out, or "
                f"write DiffusionGuide(model, amortize={next(iter(named))!r}) to pass data"
            )
        if data:
            raise ValueError(
                f"{len(data)} data sets for a guide that was fitted to one: write DiffusionGuide(model, "
                "amortize='y'), naming the argument; options such as correction= are passed by name"
            )
        return ()

    def log_weights(self, data: Sequence, sampler: DiffusionSampler, count: int) -> Tensor:
        """Log weights ``(count,)`` of fresh paths."""
        return sampler.sample(self.white, count, self.generator)[1]

    def refine(
        self, data: Sequence, named: Mapping[str, Any], sampler: DiffusionSampler, method: str, seconds: float
    ) -> Posterior:
        raise RuntimeError("refine() is for a guide with amortize=; to train one longer write max_seconds=600")

    def calibrate(self, sampler: DiffusionSampler, count: int, draws: int, correction: str) -> Calibration:
        raise RuntimeError(
            "calibrate() needs posteriors of many data sets: write DiffusionGuide(model, amortize='y'), naming the "
            "argument that holds the data"
        )

    def propose(self, args: Sequence, kwargs: Mapping[str, Any], count: int) -> tuple[ScoredPath, Sites, Tensor, None]:
        """``count`` paths, the latents at their ends, and the logarithm of what the change of coordinates took."""
        return *proposed(self.sampler, self.white, count), None

    @property
    def moved(self) -> list[str]:
        """Parameters of the model that have changed since the density was captured."""
        return self.target.moved

    @property
    def calls(self) -> int:
        return self.target.calls
