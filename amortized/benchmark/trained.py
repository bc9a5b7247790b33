"""What a method of the benchmark hands back, and what a method is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from amortized._types import Tensor
from amortized.benchmark.budget import Budget
from amortized.samplers import DiffusionSampler
from amortized.targets.base import Target


@dataclass
class Trained:
    """A trained sampler, the target that it samples, the maps between that target's space and the model's unconstrained
    one, and what the training cost: ``seconds`` on the budget's clock, ``energy_calls`` of the log density, and
    ``network_calls``, one a state."""

    sampler: DiffusionSampler
    target: Target
    unwhiten: Callable[[Tensor], Tensor]
    whiten: Callable[[Tensor], Tensor]
    losses: list[float]
    steps: int
    seconds: float
    energy_calls: int
    network_calls: int


class Method(Protocol):
    """Trains on a target whose reference deviation is ``scale``, within a budget."""

    def __call__(self, target: Target, scale: float, budget: Budget, seed: int) -> Trained: ...
