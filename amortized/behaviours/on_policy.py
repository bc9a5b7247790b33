"""Paths of the policy itself."""

from __future__ import annotations

from amortized._types import Generator
from amortized.behaviours.base import Behaviour
from amortized.behaviours.simulator import Simulator
from amortized.path import States
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.simulation import start_of
from amortized.targets.base import Target


class OnPolicy(Behaviour):
    """Simulates the policy as it is."""

    on_policy = True

    def __init__(self) -> None:
        self.simulator = Simulator()

    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> States:
        return self.simulator(process, policy, target, start_of(process, target, batch, generator))
