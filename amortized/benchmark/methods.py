"""The methods of a benchmark by name: a base, and what is added to it, as in ``tb-expl-lp-ls``."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from amortized._types import Callback, TrainingStep
from amortized.behaviours import (
    Alternate,
    Behaviour,
    Exploration,
    LocalSearch,
    MALASearch,
    OnPolicy,
    Priority,
    RankPriority,
    Replay,
    ReplayBuffer,
    Search,
)
from amortized.benchmark.budget import Budget, Meter, NetworkCalls
from amortized.benchmark.guide_method import GuideMethod
from amortized.benchmark.trained import Method, Trained
from amortized.guide.guide import DiffusionGuide
from amortized.guide.named import MixtureGuide
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
from amortized.processes.transitions import Gaussian, Transition
from amortized.samplers import DiffusionSampler
from amortized.targets.base import Target
from amortized.targets.cost import quicken
from amortized.training.callbacks import History
from amortized.training.loop import Schedule, fit
from amortized.training.recipe import Recipe

LEARNING_RATE = 5e-3
"""The library's default (``Recipe``), for all methods alike."""

UNLIMITED = 1_000_000
"""Gradient steps that no budget reaches: the meter stops the training."""


TIMED = 128
"""Points at which the score is timed, before it is compiled for a method that sees it."""


class Fading:
    """Lowers the inflation of an exploration linearly to 0, over the first half of a budget."""

    def __init__(self, exploration: Exploration, meter: Meter):
        self.exploration = exploration
        self.start = exploration.inflation
        self.meter = meter

    def __call__(self, step: TrainingStep) -> bool:
        self.exploration.inflation = self.start * max(0.0, 1 - 2 * self.meter.pace(step.number))
        return False


@dataclass(frozen=True)
class DiffusionMethod:
    """A method of arXiv 2402.05098 on equal terms: no warm-up, no mixture.

    Args:
        process: The noising chain.
        objective: Made for D variables.
        langevin: Whether the network sees the target's score.
        learned_variance: Whether the forward variance is learned.
        learned_noising: Whether the noising kernel is learned.
        transition: Law of a forward step.
        exploration: Inflation of the noise of on-policy paths.
        fading: Whether the exploration falls to 0 over the first half of the budget.
        local_search: Whether every second batch is replayed from a buffer that a search refreshes.
        capacity: Ends that the buffer holds.
        priority: Which ends are replayed.
        search: Finds new ends from replayed ones.
        every: Replayed batches between two searches.
        steps: Of a path in sampling.
        training_steps: Of a path in training; each batch has its own random grid.
        batch: Paths of a training step, as published.
        width: Of the network's two hidden layers.
    """

    process: type[LinearProcess]
    objective: Callable[[int], Objective]
    langevin: bool = False
    learned_variance: bool = False
    learned_noising: bool = False
    transition: Transition = Gaussian()  # noqa: RUF009
    exploration: float = 0.0
    fading: bool = True
    local_search: bool = False
    capacity: int = 600_000
    priority: Callable[[], Priority] = RankPriority
    search: Callable[[], Search] = partial(MALASearch, steps=100, burn_in=50)
    every: int = 50
    steps: int = 100
    training_steps: int = 16
    batch: int = 300
    width: int = 64

    def __call__(self, target: Target, scale: float, budget: Budget, seed: int) -> Trained:
        generator = torch.Generator(target.device).manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            policy = self.network(target.dim, self.langevin, self.learned_variance)
            noising = self.network(target.dim, False, True) if self.learned_noising else None
            objective = self.objective(target.dim).to(target.device)
        process = self.process(self.steps, scale, noising=noising, transition=self.transition)
        sampler = DiffusionSampler(process, policy).to(target.device)
        meter, history, network_calls = Meter(budget, target), History(), NetworkCalls(policy)
        if self.langevin:
            calls = budget.energy_calls or (budget.steps or UNLIMITED) * self.batch * self.training_steps
            points = torch.zeros(TIMED, target.dim, dtype=target.dtype, device=target.device)
            quicken(target, points, calls, budget.seconds or math.inf)
        callbacks: list[Callback] = [history, meter]
        fresh = Exploration(self.exploration) if self.exploration else OnPolicy()
        if isinstance(fresh, Exploration) and self.fading:
            callbacks.append(Fading(fresh, meter))
        fit(
            sampler.process,
            policy,
            target,
            objective,
            self.with_replay(fresh, target) if self.local_search else fresh,
            Schedule(UNLIMITED, self.batch, LEARNING_RATE, callbacks, Random(self.training_steps), meter.pace),
            generator,
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
            network_calls=network_calls.count,
        )

    def network(self, dim: int, langevin: bool, learned_variance: bool) -> LangevinMLP:
        return LangevinMLP(dim, self.width, depth=2, langevin=langevin, learned_variance=learned_variance)

    def with_replay(self, fresh: Behaviour, target: Target) -> Behaviour:
        """On-policy batches in turn with replayed ones, which local search improves."""
        buffer = ReplayBuffer(target.dim, self.capacity, target.device)
        return Alternate(
            fresh, LocalSearch(Replay(buffer, self.priority()), self.search(), every=self.every, chains=self.batch)
        )


# goes on for as long as there is budget and progress
LONG = Recipe(bridge_steps=600, steps=20_000, every=250, enough=0.98, patience=6)
BASES = {
    "pis": DiffusionMethod(PinnedBrownian, lambda dim: ReverseKL()),
    "dds": DiffusionMethod(OrnsteinUhlenbeck, lambda dim: ReverseKL(), langevin=True),
    "dis": DiffusionMethod(VariancePreserving, lambda dim: ReverseKL()),
    "tb": DiffusionMethod(PinnedBrownian, lambda dim: TrajectoryBalance()),
    "vargrad": DiffusionMethod(PinnedBrownian, lambda dim: LogVariance()),
    "db": DiffusionMethod(PinnedBrownian, lambda dim: DetailedBalance(dim)),
    "subtb": DiffusionMethod(PinnedBrownian, lambda dim: SubTrajectoryBalance(dim)),
    "fl-subtb": DiffusionMethod(PinnedBrownian, lambda dim: SubTrajectoryBalance(dim, forward_looking=True)),
}
"""The paper's methods by its names, each without additions."""

ADDED = {
    "expl": {"exploration": 0.2},
    "lp": {"langevin": True},
    "ls": {"local_search": True},
    "lv": {"learned_variance": True},
}
"""What a part of a name changes; the exploration of .2 is the paper's."""

GUIDES = {
    "guide": GuideMethod(),
    "guide-long": GuideMethod(partial(DiffusionGuide, recipe=LONG)),
    "guide-mixture": GuideMethod(MixtureGuide),
}
"""Whole guides, which take no additions."""


def method_named(name: str) -> Method:
    """The method of a name, such as ``pis``, ``fl-subtb-lp``, ``tb-expl-lp-ls`` or ``guide``.

    Args:
        name: A base and its additions: ``-expl`` explores, ``-lp`` shows the network the target's score, ``-ls`` adds
            replay with local search, ``-lv`` learns the forward variance. Or a whole guide: ``guide`` is
            ``DiffusionGuide``, ``guide-long`` trains for as long as it helps, ``guide-mixture`` is ``MixtureGuide``.

    Raises:
        ValueError: There is no such name; the message lists the parts of all names.

    >>> method_named("tb-expl-lp").exploration
    0.2
    """
    if name in GUIDES:
        return GUIDES[name]
    base = max((base for base in BASES if name == base or name.startswith(base + "-")), key=len, default=None)
    added = [] if base is None else name[len(base) :].split("-")[1:]
    if base is None or not set(added) <= set(ADDED) or len(set(added)) < len(added):
        raise ValueError(
            f"method {name!r}: write one of {', '.join([*GUIDES, *BASES])}, and after any but the first, each at most "
            f"once, {', '.join('-' + part for part in ADDED)}, as in tb-expl-lp-ls"
        )
    options = {option: value for part in added for option, value in ADDED[part].items()}
    return replace(BASES[base], **options)
