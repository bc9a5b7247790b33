"""The default way to train a sampler on a whitened target: maximum likelihood on bridges, then VarGrad off-policy."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import torch

from amortized._types import Generator, Tensor, TrainingStep
from amortized.behaviours import LocalSearch, Mixture, OnPolicy, Replay, ReplayBuffer
from amortized.callbacks import Convergence, History, ProgressBar, TimeLimit
from amortized.diagnostics.evaluation import Evaluation, evaluate
from amortized.fit import fit, fit_bridges
from amortized.objectives import LogVariance
from amortized.samplers import DiffusionSampler
from amortized.targets.whitening import WhitenedTarget


@dataclass(frozen=True)
class Recipe:
    """How much of each part; ``train`` runs it.

    ``bridge_steps`` of maximum likelihood on ``bridge_batch`` noised draws each; then at most ``steps`` of VarGrad on
    ``batch`` paths, half fresh and half noised back from replayed draws that MALA keeps moving. Judged every ``every`` steps;
    stops when fresh and noised-back paths overlap by ``enough``, or ``patience`` judgements in a row bring nothing.
    ``held_out`` draws judge and never train.
    """

    bridge_steps: int = 1_000
    bridge_batch: int = 512
    steps: int = 1_000
    batch: int = 256
    every: int = 100
    enough: float = 0.95
    patience: int = 3
    held_out: int = 512


@dataclass
class Training:
    """What a run left behind: the loss of each step by stage, and the judgements with the step they were made at."""

    bridge_losses: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    evaluations: list[tuple[int, Evaluation]] = field(default_factory=list)


def train(
    sampler: DiffusionSampler,
    target: WhitenedTarget,
    draws: tuple[Tensor, Tensor],
    recipe: Recipe,
    seconds: float,
    generator: Generator | None = None,
    progress: bool = False,
) -> Training:
    """Train ``sampler`` on ``target`` from the warm-up's ``draws``: ends ``(N, D)`` in random order and their log R."""
    deadline = time.perf_counter() + seconds
    process, policy = sampler.process, sampler.policy
    ends, log_target = draws
    held_out = ends[: recipe.held_out], log_target[: recipe.held_out]
    ends, log_target = ends[recipe.held_out :], log_target[recipe.held_out :]
    record = Training()

    def judge(step: TrainingStep) -> Evaluation:
        return evaluate(process, step.policy, target, held_out, generator=generator)

    convergence = Convergence(judge, recipe.every, recipe.enough, recipe.patience)
    if not policy.needs_score:
        history, limit = History(), TimeLimit(time.perf_counter() + 0.4 * seconds)
        with ProgressBar("maximum likelihood on bridges", recipe.bridge_steps, progress) as bar:
            fit_bridges(
                process,
                policy,
                ends,
                steps=recipe.bridge_steps,
                batch=recipe.bridge_batch,
                callbacks=[history, limit, bar],
                generator=generator,
            )
        record.bridge_losses = history.losses
    history, limit = History(), TimeLimit(deadline)
    if not convergence(TrainingStep(0, recipe.steps, 0.0, policy)):
        buffer = ReplayBuffer(target.dim, device=ends.device)
        buffer.add(ends, log_target)
        behaviour = Mixture(OnPolicy(), LocalSearch(Replay(buffer, remember=False), every=50, steps=20))
        with ProgressBar("off-policy training", recipe.steps, progress, convergence) as bar:
            fit(
                process,
                policy,
                target,
                LogVariance(),
                behaviour,
                steps=recipe.steps,
                batch=recipe.batch,
                callbacks=[history, convergence, limit, bar],
                generator=generator,
            )
        convergence.restore(policy)
    record.losses, record.evaluations = history.losses, convergence.evaluations
    return record
