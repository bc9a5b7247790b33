"""Training in rounds: a fresh policy each time, while what the objective and the behaviour know is kept."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from amortized._types import Callback, Generator
from amortized.behaviours.base import Behaviour
from amortized.objectives.base import Objective
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.targets.base import Presented
from amortized.training.loop import TrainingGrid, fit


def fit_in_rounds(
    rounds: int,
    process: Process,
    policy: Policy,
    target: Presented,
    objective: Objective,
    behaviour: Behaviour,
    steps: int = 1_000,
    batch: int = 256,
    learning_rate: float = 5e-3,
    callbacks: Sequence[Callback] = (),
    generator: Generator | None = None,
    grid: TrainingGrid | None = None,
) -> None:
    """``fit`` again and again from the policy's first weights, ``steps`` each; log Z, flows and the buffer carry over.

    A policy that has settled on few modes is slow to leave them; a fresh one trained on what the buffer has found since
    starts without that habit, and a log Z that is already right spares it the crawl (arXiv 2402.05098). The process's
    learned parts start anew as well. A callback that stops a round stops them all. Raises ``ValueError`` for under one
    round, and what ``fit`` raises.
    """
    if rounds < 1:
        raise ValueError(f"rounds={rounds}: write the number of times to train, for instance rounds=2")
    first_weights = copy.deepcopy((process.state_dict(), policy.state_dict()))
    for number in range(rounds):
        process.load_state_dict(first_weights[0])
        policy.load_state_dict(first_weights[1])
        stopped = fit(
            process,
            policy,
            target,
            objective,
            behaviour,
            steps,
            batch,
            learning_rate,
            callbacks,
            generator,
            grid,
            initialise=number == 0,
        )
        if stopped:
            break
