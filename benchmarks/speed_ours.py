"""Worker of `speed.py` for the library, for the floor of its arithmetic, and for the loop that is written by hand.

python benchmarks/speed_ours.py library | floor | loop
"""

from __future__ import annotations

import math
import sys
import time

import torch
from speed_tasks import DRAWS, Run, Task, serve, stepwise
from step_by_step import Flow, StepByStep
from torch.utils._python_dispatch import _disable_current_modes

from amortized._types import TrainingStep
from amortized.behaviours import Alternate, Behaviour, OnPolicy, RankPriority, Replay, ReplayBuffer
from amortized.benchmark.methods import LEARNING_RATE, DiffusionMethod, method_named
from amortized.policies import LangevinMLP
from amortized.samplers import DiffusionSampler
from amortized.targets.callable import DensityTarget
from amortized.training.loop import Schedule, fit


def method_of(task: Task) -> DiffusionMethod:
    found = method_named(task.method.removesuffix("-replay"))
    assert isinstance(found, DiffusionMethod)
    return found


def network(task: Task) -> LangevinMLP:
    """The published network: two hidden layers of 64, and the score where the method shows it."""
    return method_of(task).network(task.dim, task.langevin, False)


class OneCall(DensityTarget):
    """A density whose compiled score is counted as the one call that it is; a mode that counts sees eager operators."""

    def _log_prob_and_score(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if getattr(self, "_compiled", None) is None:
            return super()._log_prob_and_score(x)
        x = x.detach()  # the call that is counted
        with _disable_current_modes():
            return super()._log_prob_and_score(x)


def library(task: Task) -> Run:
    """Training or drawing; a score is compiled first, which 25,000 steps repay a hundred times."""
    method, target, policy = method_of(task), OneCall(task.density(), task.dim), network(task)
    if task.langevin and hasattr(target, "quicken"):
        target.quicken(math.inf)
    sampler = DiffusionSampler(method.process(task.steps, task.scale), policy)
    if task.kind == "draw":
        sampler.eval()
        return stepwise(lambda: sampler.sample(target, DRAWS))
    objective = method.objective(task.dim)
    behaviour: Behaviour = OnPolicy()
    if task.method.endswith("-replay"):
        behaviour = Alternate(behaviour, Replay(ReplayBuffer(task.dim, method.capacity), RankPriority()))

    def run(count: int) -> list[float]:
        moments = [time.process_time()]

        def look(step: TrainingStep) -> bool:
            moments.append(time.process_time())
            return False

        fit(sampler.process, policy, target, objective, behaviour, Schedule(count, task.paths, LEARNING_RATE, [look]))
        return [after - before for before, after in zip(moments, moments[1:], strict=False)]

    return run


def floor(task: Task) -> Run:
    """A forward and a backward pass of the networks on all K·B states at once, and nothing else."""
    policy, flow = network(task), Flow(task.dim) if task.method == "fl-subtb" else None
    x = torch.randn(task.steps, task.paths, task.dim)
    score = torch.randn_like(x) if task.langevin else None
    t = torch.arange(task.steps)[:, None, None] / task.steps

    def step() -> None:
        out = policy(x, t, score).shift.sum()
        if flow is not None:
            out = out + flow(x, t).sum()
        out.backward()

    return stepwise(step)


def loop(task: Task) -> Run:
    by_hand = StepByStep(network(task), task.density(), task.dim, task.steps, task.scale, task.method)
    if task.kind == "draw":
        return stepwise(torch.no_grad()(lambda: by_hand.forward_path(DRAWS)))
    return stepwise(lambda: by_hand.step(task.paths))


if __name__ == "__main__":
    serve({"library": library, "floor": floor, "loop": loop}[sys.argv[1]])
