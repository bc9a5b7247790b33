"""The one training loop: maximum likelihood on bridges, then an objective on a behaviour's paths."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from amortized._types import Callback, Generator, Tensor, TrainingStep
from amortized.behaviours.base import Behaviour
from amortized.objectives.base import Objective
from amortized.objectives.maximum_likelihood import bridge_regression
from amortized.parallel.ranks import Ranks
from amortized.path import ScoredPath, log_probs, with_log_targets
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.processes.linear import LinearProcess
from amortized.targets.base import Presented, Target
from amortized.training.adam import AveragingAdam, rate
from amortized.training.run import StageState

TRIALS = 3
"""Timed losses; the shortest counts, since the first one pays for allocations."""

TrainingGrid = Callable[[Process, Generator | None], Process]
Draw = Callable[[int, Generator | None], tuple[Target, Tensor]]


def draws_of(target: Target, ends: Tensor) -> Draw:
    """Draws with replacement from ``ends: (N, D)``, for ``fit_bridges``."""

    def draw(batch: int, generator: Generator | None) -> tuple[Target, Tensor]:
        return target, ends[torch.randint(len(ends), (batch,), generator=generator, device=ends.device)]

    return draw


def check_pair(objective: Objective, behaviour: Behaviour) -> None:
    """Raise ``ValueError`` if the objective is biased, or learns nothing, on the behaviour's paths."""
    loss, paths = type(objective).__name__, type(behaviour).__name__
    if objective.on_policy_only and not behaviour.on_policy:
        raise ValueError(
            f"{loss} is biased on the paths of {paths}: it needs paths of the policy itself. "
            "Write behaviour=OnPolicy(), or objective=LogVariance(), which takes paths from anywhere"
        )
    if objective.needs_draws and _simulates(behaviour):
        raise ValueError(
            f"{loss} learns nothing of the target from the simulated paths of {paths}: it needs paths that are noised "
            "back from draws of the target. Write behaviour=Replay(buffer, remember=False), behaviour=Sleep(), or "
            "objective=LogVariance(), which takes paths from anywhere"
        )


def _simulates(behaviour: Behaviour) -> bool:
    parts = getattr(behaviour, "behaviours", ())
    return any(_simulates(part) for part in parts) if parts else bool(behaviour.fresh(1).any())


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a stage of training runs.

    Args:
        steps: optimiser steps at the most.
        batch: paths a step, a multiple of the contexts.
        learning_rate: Adam's at its peak. It rises on a line and falls on a cosine.
        callbacks: called after every step; the stage ends when one of them returns True.
        grid: lays each batch on times of its own, as ``Coarse(steps)`` or ``Random(steps)``; None keeps those of
            sampling.
        pace: the part of the run that is over at a step, for a run that ``steps`` does not limit.
        seconds: plans fewer steps if ``steps`` would take longer.
        ranks: the processes that train together, each on ``batch`` paths of its own; rank 0 plans and stops.
        saved: the file of the stage, from which it goes on.
    """

    steps: int = 1_000
    batch: int = 256
    learning_rate: float = 5e-3
    callbacks: Sequence[Callback] = ()
    grid: TrainingGrid | None = None
    pace: Callable[[int], float] | None = None
    seconds: float | None = None
    ranks: Ranks = Ranks()
    saved: StageState | None = None


def fit(
    process: Process,
    policy: Policy,
    target: Presented,
    objective: Objective,
    behaviour: Behaviour,
    schedule: Schedule = Schedule(),  # noqa: B008
    generator: Generator | None = None,
) -> bool:
    """Train on ``objective(path)`` for paths that the behaviour proposes; the policy ends with averaged weights.

    Whatever the process learns is trained too. Gradients are clipped to norm 1. A step whose gradient is not finite is
    skipped and counted.

    Returns:
        Whether a callback stopped the run.

    Raises:
        ValueError: the objective is biased, or learns nothing, on the behaviour's paths.
    """
    check_pair(objective, behaviour)

    def loss(step: int) -> Tensor:
        laid = process if schedule.grid is None else schedule.grid(process, generator)
        shown = target.presented(generator)
        with torch.set_grad_enabled(objective.differentiates_rollout):
            proposed = behaviour.propose(laid, policy, shown, schedule.batch, generator)
        if objective.needs_log_targets:
            proposed = with_log_targets(laid, shown, proposed)
        if objective.differentiates_rollout and isinstance(proposed, ScoredPath):
            path = proposed
        else:
            path = log_probs(laid, policy, proposed)
        if step == 0:
            objective.initialise(path)
            schedule.ranks.average(objective.parameters())
        behaviour.observe(path)
        return objective(path).mean()

    return optimise(_parts(process, policy), loss, schedule, objective)


def fit_bridges(
    process: LinearProcess,
    policy: Policy,
    draw: Draw,
    schedule: Schedule,
    generator: Generator | None = None,
) -> None:
    """Train the policy by maximum likelihood on bridges: no rollout.

    Args:
        process: its bridges are known in closed form.
        policy: trained in place.
        draw: ``draw(batch, generator)`` gives a target and ends ``(batch, D)`` that are draws of it.
        schedule: its ``grid`` is not used.
        generator: of all draws.
    """

    def loss(step: int) -> Tensor:
        target, ends = draw(schedule.batch, generator)
        return bridge_regression(process, policy, target, ends, generator).mean() / process.steps

    optimise(_parts(process, policy), loss, schedule)


def _parts(process: Process, policy: Policy) -> nn.ModuleDict:
    return nn.ModuleDict({"process": process, "policy": policy})


def affordable_steps(loss: Callable[[int], Tensor], steps: int, seconds: float) -> int:
    """``steps``, or as many as ``seconds`` allow by the time of three trials.

    The learning rate of a run that is planned so falls in time.
    """
    times = []
    for _ in range(TRIALS):
        began = time.perf_counter()
        loss(steps).backward()
        times.append(time.perf_counter() - began)
    return max(1, min(steps, int(seconds / min(times))))


def optimise(
    parts: nn.ModuleDict,
    loss: Callable[[int], Tensor],
    schedule: Schedule,
    objective: Objective | None = None,
) -> bool:
    """Adam on ``loss(step)``, then averaged weights in evaluation mode. Returns whether a callback stopped it."""
    steps, pace, ranks, saved = schedule.steps, schedule.pace, schedule.ranks, schedule.saved
    ranks.copy_first([*parts.parameters(), *([] if objective is None else objective.parameters())])
    if saved is not None and saved.planned:
        steps = saved.planned
    elif schedule.seconds is not None:
        steps = int(ranks.same(affordable_steps(loss, steps, schedule.seconds)))
    over = (lambda step: step) if pace is None else (lambda step: pace(step) * steps)
    adam = AveragingAdam(parts, objective, schedule.learning_rate, lambda step: rate(over(step), steps))
    if saved is not None and saved.step:
        saved.restore(adam=adam)
    parts.train()
    stopped = False
    for step in range(0 if saved is None else saved.step, steps):
        value = loss(step)
        adam.optimizer.zero_grad(set_to_none=True)
        value.backward()
        value = value.detach()  # its graph would hold a path during the next step
        ranks.average_gradients(adam.parameters)
        adam.step(first=step == 0)
        record = TrainingStep(step + 1, steps, value, adam.averaged, adam.skipped)
        stopped = any([callback(record) for callback in schedule.callbacks])
        if schedule.callbacks:
            stopped = bool(ranks.same(stopped))
        if saved is not None:
            saved.save(step + 1, steps, adam=adam)
        if stopped:
            break
    adam.finish()
    return stopped
