"""Paths of the policy itself."""

from __future__ import annotations

import torch

from amortized._types import Generator
from amortized.behaviours.base import Behaviour
from amortized.path import States
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.simulation import rollout, simulate
from amortized.targets.base import Target


class OnPolicy(Behaviour):
    """Simulates the policy as it is."""

    on_policy = True

    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> States:
        return simulated(process, policy, target, batch, generator)


def simulated(
    process: Process,
    policy: Policy,
    target: Target,
    batch: int,
    generator: Generator | None = None,
    inflation: float = 1.0,
) -> States:
    """Paths of the policy: scored where gradients go through the simulation, and else their states alone."""
    if torch.is_grad_enabled():
        return rollout(process, policy, target, batch, generator, inflation)
    return simulate(process, policy, target, batch, generator, inflation, record=True)
