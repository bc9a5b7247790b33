"""The contract between a guide and what it has learned, of one data set or of many."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from amortized._types import Sites, Tensor
from amortized.diagnostics.calibration import Calibration, calibrate
from amortized.guide.plan import Plan
from amortized.path import ScoredPath
from amortized.policies.conditional_gaussian import ConditionalGaussian
from amortized.results.counts import check_count
from amortized.results.posterior import Posterior, polished
from amortized.samplers import DiffusionSampler
from amortized.simulation import rollout
from amortized.targets.affine import WhitenedTarget
from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.model_target import ModelTarget
from amortized.targets.pyro.target import PyroTarget
from amortized.targets.pyro.trace import LatentSite
from amortized.targets.transformed import origin, to_origin
from amortized.training.recipe import Recipe, train
from amortized.training.record import Training

Answer = TypeVar("Answer")
AS_ASKED = "as written: coordinates='centred'"
"""What a guide says of every latent site where nothing was to be chosen."""
REFINEMENT = Recipe(every=50, steps=2_000, enough=0.97)
"""Judged twice as often as by default, and up to more overlap: the sampler starts near the posterior."""
REFINED_FROM = 2_000
"""Paths behind the draws that a refinement trains on."""
REFINED_ON = 2_048
"""Draws that a refinement trains on: 512 of them are held out."""
REFINED_PATHS = 8_000
"""Fresh paths of a refined posterior, as many as for a guide of one data set."""
DRAWING = 0.25
"""Part of ``max_seconds`` that the excess paths of one call of ``sample`` may take."""


@dataclass(frozen=True)
class Proposal:
    """Paths of the sampler, as Pyro needs them.

    Args:
        path: The scored paths.
        values: Latents at their ends, ``{site: (B, *event)}``.
        log_dets: ``(B,)``, the log determinant of the change from whitened coordinates to the latents.
        plate: The plate to whose rows the paths belong in turn; None where all are of one posterior.
    """

    path: ScoredPath
    values: Sites
    log_dets: Tensor
    plate: str | None = None


@dataclass(frozen=True)
class Simulations:
    """Fresh data sets from the model.

    Args:
        truths: The latents that made them, and the log joint density, ``{name: (M, *event)}``.
        draw: From ``(num_samples, correction)`` to posterior draws of each, ``{name: (M, num_samples, *event)}``.
    """

    truths: Sites
    draw: Callable[[int, str], Sites]


class Fitted(ABC):
    """Densities in whitened coordinates, and a sampler for them that ``train`` trains.

    Every method that takes ``data`` and ``named`` takes the data sets as the user passed them, by place and by name.
    """

    sampler: DiffusionSampler
    latents: Mapping[str, LatentSite]
    gaussian: ConditionalGaussian | None = None

    def __init__(self, plan: Plan):
        self.plan = plan
        self.generator = torch.Generator(plan.device).manual_seed(plan.options.seed)
        self.training_record: Training | None = None
        self.coordinates: dict[str, str] = {}
        self.attributes: dict[str, float | int | str] = {"seed": plan.options.seed}

    @property
    @abstractmethod
    def target(self) -> PyroTarget | ConditionalTarget:
        """The density that is learned, in unconstrained coordinates."""

    @property
    @abstractmethod
    def moved(self) -> list[str]:
        """Parameters of the model that have changed since the density was captured."""

    @property
    @abstractmethod
    def training_of_one(self) -> Training | None:
        """The training record, where the sampler was trained on one data set alone."""

    @property
    def trained(self) -> DiffusionSampler:
        """The sampler that draws best: the trained one on its best grid, or an untrained one that did as well."""
        record = self.training_record
        return self.sampler if record is None else record.sampler(self.sampler.policy)

    @property
    def _trainable(self) -> DiffusionSampler:
        """The sampler with its network, on the grid that draws best."""
        record = self.training_record
        return self.sampler if record is None else DiffusionSampler(record.sampling, self.sampler.policy)

    @property
    def draws_within(self) -> float:
        """Seconds that the excess paths of one call may take."""
        return DRAWING * self.plan.seconds

    @abstractmethod
    def check(self, args: Sequence, kwargs: Mapping[str, Any]) -> None:
        """Raise ``ValueError`` for arguments with which ``fit`` cannot be called again."""

    @abstractmethod
    def train(self, seconds: float) -> Training:
        """Train the sampler by the plan's recipe."""

    @abstractmethod
    def sampler_moved(self) -> None:
        """Forget what was computed of the sampler: SVI may have moved its weights."""

    @abstractmethod
    def given(self, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
        """The data among the arguments of a call of Pyro's, by place and by name."""

    @abstractmethod
    def posterior(self, data: Sequence[Any], named: Mapping[str, Any]) -> Posterior:
        """The posterior of one data set; raises ``ValueError`` for several."""

    @abstractmethod
    def whitened(self, data: Sequence[Any], named: Mapping[str, Any]) -> WhitenedTarget:
        """The density of one data set; raises ``ValueError`` for several."""

    @abstractmethod
    def sample(self, data: Sequence[Any], named: Mapping[str, Any], num_samples: int, correction: str) -> Sites:
        """Draws ``{site: (num_samples, *event)}``, or ``{site: (M, num_samples, *event)}`` for M data sets."""

    @abstractmethod
    def log_weights(self, data: Sequence[Any], named: Mapping[str, Any], count: int) -> Tensor:
        """Log weights of fresh paths in nats, ``(count,)``, or ``(count, M)`` for M data sets."""

    @abstractmethod
    def propose(self, args: Sequence, kwargs: Mapping[str, Any], count: int) -> Proposal:
        """``count`` paths for the data among the model's arguments, or for each of its rows."""

    @abstractmethod
    def simulated(self, count: int) -> Simulations | None:
        """Fresh data sets from the model; None where the sampler knows one data set alone."""

    def ask(
        self, question: Callable[[Posterior], Answer], data: Sequence[Any], named: Mapping[str, Any]
    ) -> Answer | list[Answer]:
        """The answer of one posterior, or of each of several."""
        return question(self.posterior(data, named))

    def refine(self, data: Sequence[Any], named: Mapping[str, Any], seconds: float) -> Posterior:
        """A posterior whose own copy of the sampler went on training on this one data set."""
        white, sampler = self.whitened(data, named), copy.deepcopy(self._trainable)
        if not seconds > 0:
            raise ValueError(f"seconds={seconds}: write a positive number of seconds, for instance 10")
        with torch.no_grad():
            pilot = sampler.sample(white, REFINED_FROM, self.generator)
            draws = polished(sampler, white, REFINED_ON, pilot, self.generator)
        record = train(sampler, white, draws, REFINEMENT, seconds, self.generator, self.plan.options.progress)
        ends, log_target = draws
        return Posterior(
            sampler=DiffusionSampler(record.sampling, sampler.policy),
            white=white,
            generator=self.generator,
            method=self.plan.name,
            paths=REFINED_PATHS,
            held_out=(ends[: REFINEMENT.held_out], log_target[: REFINEMENT.held_out]),
            attributes=self.attributes,
            draws_within=self.draws_within,
        )

    def calibrate(self, count: int, draws: int, correction: str) -> Calibration:
        """Simulation-based calibration on ``count`` fresh data sets with ``draws`` draws each."""
        check_count(count, "count")
        check_count(draws, "draws")
        simulations = self.simulated(count)
        if simulations is None:
            raise RuntimeError(
                "calibrate() needs posteriors of many data sets: write DiffusionGuide(model, amortize='y'), naming the "
                "argument that holds the data"
            )
        found = simulations.draw(draws, correction)
        return calibrate(simulations.truths, {name: found[name] for name in simulations.truths}, self.generator)


def proposed(sampler: DiffusionSampler, white: WhitenedTarget, count: int, plate: str | None = None) -> Proposal:
    """``count`` paths of the sampler in the coordinates of ``white``."""
    model = origin(white)
    assert isinstance(model, ModelTarget)
    path = rollout(sampler.process, sampler.policy, white, count, evaluate_ends=False)
    x, log_dets = to_origin(white, path.ends)
    values, of_sites = model.unpack(x)
    return Proposal(path, values, log_dets + torch.stack(list(of_sites.values())).sum(0), plate)
