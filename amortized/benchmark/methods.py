"""The methods of a benchmark by name: a base, and what is added to it, as in ``tb-expl-lp-ls``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from amortized._types import Callback, Tensor, TrainingStep
from amortized.behaviours import (
    Alternate,
    Behaviour,
    Exploration,
    LocalSearch,
    MALASearch,
    OnPolicy,
    RankPriority,
    Replay,
    ReplayBuffer,
)
from amortized.benchmark.budget import Budget, Meter
from amortized.callbacks import History
from amortized.fit import fit
from amortized.objectives import (
    DetailedBalance,
    LogVariance,
    Objective,
    ReverseKL,
    SubTrajectoryBalance,
    TrajectoryBalance,
)
from amortized.policies import LangevinMLP
from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian, VariancePreserving
from amortized.processes.grids import Random
from amortized.processes.linear import LinearProcess
from amortized.samplers import DiffusionSampler
from amortized.targets.base import Target

STEPS, TRAINING_STEPS, BATCH, WIDTH, INFLATION = 100, 25, 300, 64, 0.2
LEARNING_RATE, UNLIMITED = 2e-3, 1_000_000


@dataclass
class Trained:
    """A trained sampler, the target that it samples, the maps between that target's space and the model's unconstrained
    one, and what the training cost: ``seconds`` on the budget's clock, ``energy_calls`` of the log density."""

    sampler: DiffusionSampler
    target: Target
    unwhiten: Callable[[Tensor], Tensor]
    whiten: Callable[[Tensor], Tensor]
    losses: list[float]
    steps: int
    seconds: float
    energy_calls: int


class Method(Protocol):
    """Trains on a target whose reference deviation is ``scale``, within a budget."""

    def __call__(self, target: Target, scale: float, budget: Budget, seed: int) -> Trained: ...


@dataclass(frozen=True)
class Base:
    """What a name stands for before anything is added: a process and an objective for D variables."""

    process: type[LinearProcess]
    objective: Callable[[int], Objective]


BASES = {
    "pis": Base(PinnedBrownian, lambda dim: ReverseKL()),
    "dds": Base(OrnsteinUhlenbeck, lambda dim: ReverseKL()),
    "dis": Base(VariancePreserving, lambda dim: ReverseKL()),
    "tb": Base(PinnedBrownian, lambda dim: TrajectoryBalance()),
    "vargrad": Base(PinnedBrownian, lambda dim: LogVariance()),
    "db": Base(PinnedBrownian, lambda dim: DetailedBalance(dim)),
    "subtb": Base(PinnedBrownian, lambda dim: SubTrajectoryBalance(dim)),
    "fl-subtb": Base(PinnedBrownian, lambda dim: SubTrajectoryBalance(dim, forward_looking=True)),
}
ADDED = {
    "expl": "exploration: the noise of training paths inflated by 20 %, decaying over the first half of the budget",
    "ls": "local search: half of the batches replayed from a buffer that MALA chains refresh",
    "lp": "Langevin parametrization: the network sees the target's score",
    "lv": "learned variance of the forward kernel",
}
SCORED = {"dds"}


class Fading:
    """Takes the inflation of an exploration down to 0 in a line, over the first half of a budget."""

    def __init__(self, exploration: Exploration, meter: Meter):
        self.exploration = exploration
        self.start = exploration.inflation
        self.meter = meter

    def __call__(self, step: TrainingStep) -> bool:
        self.exploration.inflation = self.start * max(0.0, 1 - 2 * self.meter.pace(step.number))
        return False


@dataclass(frozen=True)
class DiffusionMethod:
    """A base from a standing start (no warm-up, no mixture) with additions: the published family on equal terms.

    Every method has the same network (two hidden layers of 64), 300 paths a step, a fresh random grid of 25 steps in
    training and 100 equal steps in sampling.
    """

    base: Base
    added: frozenset[str]
    langevin: bool

    def __call__(self, target: Target, scale: float, budget: Budget, seed: int) -> Trained:
        generator = torch.Generator(target.device).manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            policy = LangevinMLP(
                target.dim, WIDTH, depth=2, langevin=self.langevin, learned_variance="lv" in self.added
            )
            objective = self.base.objective(target.dim)
        sampler = DiffusionSampler(self.base.process(STEPS, scale), policy).to(target.device)
        meter, history = Meter(budget, target), History()
        fresh = Exploration(INFLATION) if "expl" in self.added else OnPolicy()
        callbacks: list[Callback] = [history, meter]
        if isinstance(fresh, Exploration):
            callbacks.append(Fading(fresh, meter))
        fit(
            sampler.process,
            policy,
            target,
            objective.to(target.device),
            self.behaviour(fresh, target),
            UNLIMITED,
            BATCH,
            LEARNING_RATE,
            callbacks,
            generator,
            Random(TRAINING_STEPS),
            meter.pace,
        )
        return Trained(
            sampler=sampler,
            target=target,
            unwhiten=lambda x: x,
            whiten=lambda x: x,
            losses=history.losses,
            steps=len(history.losses),
            seconds=meter.seconds,
            energy_calls=meter.energy_calls,
        )

    def behaviour(self, fresh: Behaviour, target: Target) -> Behaviour:
        """Fresh paths alone, or in turn with replayed ones that local search improves."""
        if "ls" not in self.added:
            return fresh
        replay = Replay(ReplayBuffer(target.dim, device=target.device), RankPriority())
        return Alternate(fresh, LocalSearch(replay, MALASearch(steps=100, burn_in=50), every=100, chains=BATCH))


def method(name: str) -> Method:
    """The method of a name such as ``pis``, ``fl-subtb-lp`` or ``tb-expl-lp-ls``; ``ValueError`` where it is none."""
    base = max((base for base in BASES if name == base or name.startswith(base + "-")), key=len, default=None)
    added = [] if base is None else [part for part in name[len(base) :].split("-") if part]
    if base is None or not set(added) <= set(ADDED) or len(set(added)) < len(added):
        raise ValueError(
            f"method {name!r}: write one of {', '.join(BASES)}, and after it, each at most once, any of "
            f"{', '.join('-' + part for part in ADDED)}, as in tb-expl-lp-ls"
        )
    return DiffusionMethod(BASES[base], frozenset(added), langevin="lp" in added or base in SCORED)
