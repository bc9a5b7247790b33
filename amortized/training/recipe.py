"""The default way to train a sampler on a whitened target: maximum likelihood on bridges, then VarGrad off-policy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from typing import cast

from torch import nn

from amortized._torch import own_randomness
from amortized._types import Callback, Generator, Tensor, TrainingStep
from amortized.behaviours import (
    Behaviour,
    Exploration,
    LocalSearch,
    MALASearch,
    Mixture,
    OnPolicy,
    Replay,
    ReplayBuffer,
)
from amortized.objectives import LogVariance, Objective
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.processes.linear import LinearProcess
from amortized.samplers import DiffusionSampler
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Presented, Target
from amortized.targets.cost import quicken
from amortized.training.callbacks import Convergence, History, ProgressBar, TimeLimit
from amortized.training.candidates import POOR, Candidate, better, candidate
from amortized.training.evaluation import Evaluation, evaluate, evaluation_size, refined, resized
from amortized.training.loop import Schedule, TrainingGrid, check_pair, fit, fit_bridges
from amortized.training.record import Buffer, Material, Training, material_of
from amortized.training.run import StageState

PLANNED = 0.85
"""Part of the time that is planned for steps; evaluations take the rest."""
EARLIEST = 0.5
"""Part of the steps planned by time from which a lack of progress counts: with 1,000 of 4,000 steps the overlap on SLCP
was below that of the untrained sampler, with all of them three times as high."""
REFINING = 0.1
"""Part of the time of training that the choice of a grid may take where training has used all of it."""


def log_variance(dim: int) -> Objective:
    """VarGrad, which learns nothing beside the policy."""
    return LogVariance()


def on_policy(buffer: Buffer) -> Behaviour:
    """Paths of the policy alone, for objectives that need them."""
    return OnPolicy()


@dataclass(frozen=True)
class OffPolicy:
    """Half of a batch is simulated, half is noised back from replayed draws.

    Args:
        exploration: inflates the std of simulated steps by the factor ``1 + exploration``.
        local_search: MALA moves 256 of the remembered draws, and adds them to the buffer.
        moves: of MALA, in each search.
        every: batches between two searches.
    """

    exploration: float = 0.0
    local_search: bool = True
    moves: int = 20
    every: int = 50

    def __call__(self, buffer: Buffer) -> Behaviour:
        fresh = Exploration(self.exploration) if self.exploration else OnPolicy()
        replay = Replay(buffer, remember=False)
        search = LocalSearch(replay, MALASearch(steps=self.moves), every=self.every)
        return Mixture(fresh, search if self.local_search else replay)


@dataclass(frozen=True)
class Recipe:
    """How to train a sampler: first maximum likelihood on bridges, then an objective on a behaviour's paths.

    Every ``every`` steps the policy is evaluated by the overlap of on-policy and backward paths. The best policy is
    kept.

    Args:
        bridge_steps: of maximum likelihood at the most; 0 skips the stage.
        bridge_batch: draws, and so bridges, in each of these steps.
        steps: with the objective at the most.
        batch: paths in each of these steps.
        learning_rate: Adam's at its peak.
        every: steps between two evaluations.
        enough: overlap that ends a stage.
        patience: evaluations without progress that end a stage.
        held_out: draws that never train, for the backward paths.
        refinements: sampling takes the training's steps times one of these, the smallest that does well.
        objective: made for D variables.
        behaviour: made for a buffer that holds the warm-up's draws.
        grid: lays training on times of its own; None: those of sampling.
        bridge_share: part of the time for the bridges.
        in_time: plans as many steps as fit in, by the time of the first ones.
        even: effective share of untrained paths from which nothing is trained; 1 always trains. Below it, and under an
            effective share of 20 %, ``train`` leaves the work to ``training.repair``.
        always: every stage trains for ``every`` steps at least, and never goes back to the weights before it.
    """

    bridge_steps: int = 300
    bridge_batch: int = 512
    steps: int = 600
    batch: int = 256
    learning_rate: float = 5e-3
    every: int = 100
    enough: float = 0.9
    patience: int = 2
    held_out: int = 512
    refinements: tuple[float, ...] = (1, 2, 4)
    objective: Callable[[int], Objective] = log_variance
    behaviour: Callable[[Buffer], Behaviour] = OffPolicy()
    grid: TrainingGrid | None = None
    bridge_share: float = 0.3
    in_time: bool = False
    even: float = 1.0
    always: bool = False

    def __post_init__(self) -> None:
        check_pair(self.objective(1), self.behaviour(ReplayBuffer(1, capacity=1)))

    @property
    def earliest(self) -> float:
        """Part of the planned steps from which a lack of progress counts."""
        return EARLIEST if self.in_time else 0.0

    def check_trains(self, name: str, default: Recipe) -> None:
        """Raise ``ValueError`` unless this recipe has the objective that the guide ``name`` is named after."""
        own, given = type(default.objective(1)), type(self.objective(1))
        if own is not given:
            raise ValueError(
                f"recipe: {name} trains {own.__name__}, this recipe {given.__name__}; write "
                f"dataclasses.replace({name}.default_recipe, ...), or DiffusionGuide(model, recipe=recipe)"
            )

    def with_behaviour(self, exploration: float | None, local_search: bool | None) -> Recipe:
        """The recipe with these parts of its behaviour changed; None changes nothing.

        Raises:
            ValueError: the behaviour has no such parts.
        """
        wanted = {"exploration": exploration, "local_search": local_search}
        changes = {name: value for name, value in wanted.items() if value is not None}
        asked = ", ".join(f"{name}={value}" for name, value in changes.items() if value)
        if not isinstance(self.behaviour, OffPolicy):
            objective = self.objective(1)
            if asked and objective.on_policy_only:
                raise ValueError(
                    f"{asked}: {type(objective).__name__} is biased on all but the policy's own paths. "
                    "Write TBGuide(model, ...) or VarGradGuide(model, ...), which take paths from anywhere"
                )
            if asked:
                raise ValueError(f"{asked}: this recipe has a behaviour of its own; write it there")
            return self
        return replace(self, behaviour=replace(self.behaviour, **changes))


PAYING = Recipe(even=0.5)
"""Trains only where it pays: at an effective share of a half, training can at most double the draws a second."""


def train(
    sampler: DiffusionSampler,
    target: WhitenedTarget,
    draws: tuple[Tensor, Tensor],
    recipe: Recipe,
    seconds: float,
    generator: Generator | None = None,
    progress: bool = False,
) -> Training:
    """Train a sampler from draws of its target, if that pays.

    Untrained samplers are weighed first. Where their weights are even, nothing is trained. Else the trained and the
    untrained sampler are weighed on fresh paths, and the better one is kept.

    Args:
        sampler: trained in place.
        target: of D variables.
        draws: ends ``(N, D)`` of the warm-up in random order, and their log R.
        recipe: what to train, and how long.
        seconds: of wall clock at the most.
        generator: of all draws.
        progress: shows a bar for each stage.

    Raises:
        ValueError: not more draws than ``recipe.held_out``.
    """
    began, material = time.perf_counter(), material_of(target, draws, recipe.held_out)
    if recipe.even >= 1:
        return train_on(material, sampler, recipe, seconds, generator, progress)
    untrained = candidate(sampler.process, target, material.held_out, recipe.refinements, recipe.even, generator)
    left = max(0.0, seconds - (time.perf_counter() - began))
    return train_from(untrained, material, sampler, recipe, left, generator, progress)


def train_from(
    untrained: Candidate,
    material: Material,
    sampler: DiffusionSampler,
    recipe: Recipe,
    seconds: float,
    generator: Generator | None = None,
    progress: bool = False,
) -> Training:
    """Train a sampler, as ``train`` does, after the untrained one was weighed."""
    if untrained.is_even(recipe.even):
        return untrained.record("training would bring little")
    if untrained.evaluation.ess_fraction < POOR:
        return untrained.record("too few for training on weights")
    record = train_on(material, sampler, recipe, seconds, generator, progress)
    return better(record, sampler.policy, untrained, material.judged, material.held_out, generator)


def train_on(
    material: Material,
    sampler: DiffusionSampler,
    recipe: Recipe,
    seconds: float,
    generator: Generator | None = None,
    progress: bool = False,
    callbacks: Sequence[Callback] = (),
) -> Training:
    """Train a sampler on the material, as ``train`` does."""
    deadline = time.perf_counter() + seconds
    process, policy = sampler.process, sampler.policy
    parts = nn.ModuleDict({"process": process, "policy": policy})
    target, judged, held_out = material.target, material.judged, material.held_out
    record, ranks = Training(process), material.run.ranks
    ranks.copy_first(parts.parameters())
    if policy.needs_score and isinstance(target, Target):
        quicken(target, held_out[0], recipe.steps * recipe.batch * process.steps, seconds)

    def stage(title: str, steps: int, until: float, run: Callable[[Schedule], object]) -> list[float]:
        history, judge = History(), partial(_judged, material, generator)
        convergence = Convergence(judge, recipe.every, recipe.enough, recipe.patience, earliest=recipe.earliest)
        saved = StageState(material.run, title, {"history": history, "convergence": convergence})
        if saved.is_over:
            saved.restore(parts=parts)
        elif saved.step or recipe.always or not convergence(TrainingStep(0, steps, 0.0, parts)):
            with ProgressBar(title, steps, progress, convergence) as bar:
                asked = [history, convergence, TimeLimit(until), bar, *callbacks]
                how = {"seconds": _left(recipe, until), "ranks": material.run.ranks, "saved": saved}
                run(Schedule(steps, learning_rate=recipe.learning_rate, callbacks=asked, **how))
            convergence.restore(parts)
        saved.save(len(history.losses), steps, over=True, parts=parts)
        record.evaluations += [(len(record.bridge_losses) + number, found) for number, found in convergence.evaluations]
        record.skipped += history.skipped
        record.outcome = f"{len(history.losses)} steps of {title}: {convergence.reason}"
        return history.losses

    def on_bridges(schedule: Schedule) -> None:
        if not isinstance(process, LinearProcess):
            raise ValueError(f"{type(process).__name__} has no bridges in closed form: write Recipe(bridge_steps=0)")
        fit_bridges(process, policy, material.draw, replace(schedule, batch=recipe.bridge_batch), generator)

    def off_policy(schedule: Schedule) -> None:
        objective, behaviour = build_objective(recipe, target, generator), recipe.behaviour(material.buffer)
        if material.embedding is not None:
            objective.on_contexts(material.embedding)
        record.objective = objective
        schedule = replace(schedule, batch=recipe.batch, grid=recipe.grid)
        fit(process, policy, target, objective, behaviour, schedule, generator)

    soon = time.perf_counter() + recipe.bridge_share * seconds
    if recipe.bridge_steps:
        record.bridge_losses = stage("maximum likelihood on bridges", recipe.bridge_steps, soon, on_bridges)
    record.losses = stage("training on paths", recipe.steps, deadline, off_policy)
    until = max(deadline - time.perf_counter(), REFINING * seconds)
    chosen = refined(process, policy, judged, held_out, recipe.refinements, generator, until)
    record.sampling = resized(process, ranks.same(chosen.steps) / process.steps)
    return record


def _judged(material: Material, generator: Generator | None, step: TrainingStep) -> Evaluation:
    """The averaged weights at a step, judged by the paths of all processes."""
    averaged = cast(Process, step.parts["process"]), cast(Policy, step.parts["policy"])
    judged = material.judged
    found = evaluate(*averaged, judged, material.held_out, evaluation_size(judged), generator)
    return Evaluation(*material.run.ranks.means(astuple(found)))


def _left(recipe: Recipe, until: float) -> float | None:
    """Seconds that are planned for steps; None: all steps, in whatever time."""
    return max(1.0, PLANNED * (until - time.perf_counter())) if recipe.in_time else None


def build_objective(recipe: Recipe, target: Presented, generator: Generator | None) -> Objective:
    """The recipe's objective for ``target``; the generator's seed alone fixes its first weights."""
    with own_randomness(target.device, 0 if generator is None else generator.initial_seed()):
        return recipe.objective(target.dim).to(target.device)
