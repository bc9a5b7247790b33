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
    """A trained sampler and what its training cost.

    Args:
        sampler: The sampler.
        target: The density that it samples: the method's own, or a whitened view of it.
        unwhiten: From that density's space to the model's unconstrained space, ``(N, D) -> (N, D)``.
        whiten: The way back.
        losses: Of every gradient step.
        steps: Gradient steps.
        seconds: Of training, on the budget's clock.
        energy_calls: Evaluations of the log density, one a particle.
        network_calls: Evaluations of the network, one a state; ``None`` where nobody counted.
    """

    sampler: DiffusionSampler
    target: Target
    unwhiten: Callable[[Tensor], Tensor]
    whiten: Callable[[Tensor], Tensor]
    losses: list[float]
    steps: int
    seconds: float
    energy_calls: int
    network_calls: int | None = None


class Method(Protocol):
    """Trains on ``target`` within ``budget``; ``scale``: the std of the reference to start from."""

    def __call__(self, target: Target, scale: float, budget: Budget, seed: int) -> Trained: ...
