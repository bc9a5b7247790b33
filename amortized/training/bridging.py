"""Maximum likelihood on bridges to draws whose scores are known, until held-out draws get no likelier."""

from __future__ import annotations

import copy
import time
from typing import cast

import torch
from torch import nn

from amortized._types import Generator, Tensor, TrainingStep
from amortized.mcmc.state import State
from amortized.objectives.scored_bridges import ScoredBridges
from amortized.policies.base import Policy
from amortized.processes.linear import LinearProcess
from amortized.samplers import DiffusionSampler
from amortized.targets.base import Target
from amortized.training.callbacks import TimeLimit
from amortized.training.loop import Schedule, optimise

BATCH, LEARNING_RATE = 512, 5e-3
"""Bridges a step, and Adam's rate at its peak: 256, 1,024 and .01 learn about as much a second on rotated wells."""
LOOK, PATIENCE = 50, 4
"""Steps between two looks at the held-out likelihood, and looks in a row without a better one that end a fit."""
PLANNED = 0.9
"""Part of the time that is planned for steps; looks take the rest."""
MOST_STEPS = 1_000_000
"""More than any time allows: the clock alone plans."""


class HeldOut:
    """A callback that stops a fit where the loss of held-out bridges stops falling, and keeps the best weights."""

    def __init__(self, process: LinearProcess, target: Target, ends: Tensor, scores: Tensor):
        self.process, self.target, self.ends, self.scores = process, target, ends, scores
        self.best, self.waited, self.steps = float("inf"), 0, 0
        self.weights: dict | None = None

    def __call__(self, step: TrainingStep) -> bool:
        self.steps = step.number
        if step.number % LOOK and step.number != step.planned:
            return False
        bridges = ScoredBridges(self.process, cast(Policy, step.parts["policy"]), self.target)
        same = torch.Generator(self.ends.device).manual_seed(0)  # the same noise at each look
        with torch.no_grad():
            loss = float(bridges(self.ends, self.scores, same, learn=False).mean())
        self.waited = 0 if loss < self.best else self.waited + 1
        if loss < self.best:
            self.best, self.weights = loss, copy.deepcopy(step.parts.state_dict())
        return self.waited >= PATIENCE


def fit_to_draws(
    sampler: DiffusionSampler,
    target: Target,
    draws: State,
    held_out: State,
    until: float,
    generator: Generator | None = None,
) -> int:
    """Train a sampler by `ScoredBridges`, without a call of the density if its policy reads no score.

    Args:
        sampler: trained in place; its process has bridges in closed form.
        target: of D variables.
        draws: of the target, with log R and score.
        held_out: draws that never train, with theirs.
        until: the deadline in ``time.perf_counter()``; the learning rate falls until then.
        generator: of all draws.

    Returns:
        The number of steps.

    Raises:
        ValueError: the process has no bridges in closed form.
    """
    process, policy = sampler.process, sampler.policy
    if not isinstance(process, LinearProcess):
        raise ValueError(f"{type(process).__name__} has no bridges in closed form: write GFlowNet(dim, steps=64)")
    parts = nn.ModuleDict({"process": process, "policy": policy})
    bridges = ScoredBridges(process, policy, target)
    likelihood = HeldOut(process, target, held_out.x, held_out.score)

    def loss(step: int) -> Tensor:
        rows = torch.randint(len(draws.x), (BATCH,), generator=generator, device=draws.x.device)
        return bridges(draws.x[rows], draws.score[rows], generator).mean() / process.steps

    seconds = PLANNED * max(0.0, until - time.perf_counter())
    optimise(parts, loss, Schedule(MOST_STEPS, BATCH, LEARNING_RATE, [likelihood, TimeLimit(until)], seconds=seconds))
    if likelihood.weights is not None and likelihood.waited:
        parts.load_state_dict(likelihood.weights)
    return likelihood.steps
