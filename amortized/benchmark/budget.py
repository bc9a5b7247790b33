"""What every method of a benchmark may spend: equal seconds, equal gradient steps or equal energy calls."""

from __future__ import annotations

import time
from dataclasses import dataclass

from torch import nn

from amortized._types import TrainingStep
from amortized.targets.base import Target

CLOCKS = {"process": time.process_time, "wall": time.perf_counter}
"""Processor time does not suffer from other jobs; an accelerator's work shows only on the wall's clock."""


@dataclass(frozen=True)
class Budget:
    """What a training may spend: exactly one limit.

    Args:
        seconds: On ``clock``.
        steps: Of the optimiser.
        energy_calls: Log densities, one a particle.
        clock: ``"process"``, the CPU time of this process, or ``"wall"``, for work on an accelerator.

    Raises:
        ValueError: No limit, more than one, one that is not positive, or another clock.
    """

    seconds: float | None = None
    steps: int | None = None
    energy_calls: int | None = None
    clock: str = "process"

    def __post_init__(self) -> None:
        limits = {"seconds": self.seconds, "steps": self.steps, "energy_calls": self.energy_calls}
        limits = {name: value for name, value in limits.items() if value is not None}
        if len(limits) != 1:
            raise ValueError(f"a budget has exactly one limit, got {limits or 'none'}: write Budget(seconds=120)")
        if not next(iter(limits.values())) > 0:
            raise ValueError(f"{limits}: a budget must be positive; write Budget(seconds=120)")
        if self.clock not in CLOCKS:
            raise ValueError(f"clock={self.clock!r}: write one of {', '.join(map(repr, CLOCKS))}")


class NetworkCalls:
    """Counts the states at which a network was evaluated, copies of the network included.

    Training evaluates a copy too: the running mean of the weights.

    >>> import torch
    >>> network = nn.Linear(2, 1)
    >>> calls = NetworkCalls(network)
    >>> _ = network(torch.zeros(3, 4, 2))
    >>> calls.count
    12
    """

    def __init__(self, network: nn.Module):
        self.count = 0
        network.register_forward_pre_hook(self._add)

    def __deepcopy__(self, memo: dict) -> NetworkCalls:
        return self

    def _add(self, network: nn.Module, inputs: tuple) -> None:
        self.count += inputs[0].shape[:-1].numel()


class Meter:
    """Measures what a run has used of its budget: the callback that stops it, and the pace of its learning rate.

    >>> from amortized.targets.callable import DensityTarget
    >>> meter = Meter(Budget(steps=4), DensityTarget(lambda x: -x.square().sum(-1), dim=1))
    >>> meter.pace(1), meter.pace(4)
    (0.25, 1.0)
    """

    def __init__(self, budget: Budget, target: Target):
        self.budget = budget
        self.target = target
        self.clock = CLOCKS[budget.clock]
        self.began = self.clock()
        self.calls_before = target.calls

    @property
    def seconds(self) -> float:
        """Seconds since the start, on the budget's clock."""
        return self.clock() - self.began

    @property
    def energy_calls(self) -> int:
        return self.target.calls - self.calls_before

    def pace(self, step: int) -> float:
        """Which part of the budget is used before optimiser step ``step``, from 0 to 1."""
        if self.budget.steps is not None:
            return min(1.0, step / self.budget.steps)
        if self.budget.energy_calls is not None:
            return min(1.0, self.energy_calls / self.budget.energy_calls)
        assert self.budget.seconds is not None
        return min(1.0, self.seconds / self.budget.seconds)

    def __call__(self, step: TrainingStep) -> bool:
        return self.pace(step.number) >= 1
