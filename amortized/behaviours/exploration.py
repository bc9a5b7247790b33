"""Paths of the policy with inflated noise, so that it sees what it does not yet sample."""

from __future__ import annotations

from amortized._types import Generator
from amortized.behaviours.base import Behaviour
from amortized.behaviours.simulator import Simulator
from amortized.path import States
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.simulation import start_of
from amortized.targets.base import Target


class Exploration(Behaviour):
    """Multiplies every forward std by ``1 + inflation``, which falls to 1 on a line (arXiv 2402.05098).

    Args:
        inflation: at the first proposal.
        decay_steps: proposals until none is left; None keeps the inflation constant.
    """

    def __init__(self, inflation: float = 0.2, decay_steps: int | None = None):
        if inflation < 0:
            raise ValueError(f"inflation={inflation}: exploration adds noise; write inflation=0.2")
        if decay_steps is not None and decay_steps < 1:
            raise ValueError(f"decay_steps={decay_steps}: write a number of proposals, or None to explore for ever")
        self.inflation = inflation
        self.decay_steps = decay_steps
        self.proposals = 0
        self.simulator = Simulator()

    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> States:
        left = 1.0 if self.decay_steps is None else max(0.0, 1.0 - self.proposals / self.decay_steps)
        self.proposals += 1
        start = start_of(process, target, batch, generator, 1.0 + self.inflation * left)
        return self.simulator(process, policy, target, start)
