"""Time grids: where between 0 and 1 the steps of a path lie, in sampling and in training."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from amortized._types import Generator, Tensor
from amortized.processes.base import Process


@dataclass(frozen=True)
class Uniform:
    """Steps of equal length.

    >>> Uniform()(4).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """

    def __call__(self, steps: int) -> Tensor:
        return torch.linspace(0, 1, steps + 1, dtype=torch.float64)


@dataclass(frozen=True)
class Power:
    """``t = 1 − (1 − k/K)^exponent``: with an exponent above 1 the steps get shorter towards the target.

    >>> Power(2.0)(2).tolist()
    [0.0, 0.75, 1.0]
    """

    exponent: float = 2.0

    def __post_init__(self) -> None:
        if not self.exponent > 0:
            raise ValueError(f"exponent={self.exponent}: times must rise from 0 to 1; write exponent=2.0")

    def __call__(self, steps: int) -> Tensor:
        return 1 - (1 - torch.linspace(0, 1, steps + 1, dtype=torch.float64)) ** self.exponent


@dataclass(frozen=True)
class Coarse:
    """A fixed training grid of ``steps`` steps, laid out as the process lays out its own (arXiv 2501.06148)."""

    steps: int

    def __call__(self, process: Process, generator: Generator | None = None) -> Process:
        return process.with_steps(self.steps)


@dataclass(frozen=True)
class Random:
    """A new training grid of ``steps`` steps for every batch: each inner time is uniform around its place.

    ``t_k = grid((k + u) / steps)`` with u ~ U(−½, ½), linear between the process's own times (arXiv 2501.06148).
    """

    steps: int

    def __call__(self, process: Process, generator: Generator | None = None) -> Process:
        device = process.times.device
        place = torch.arange(self.steps + 1, dtype=torch.float64, device=device)
        jitter = torch.rand(self.steps + 1, generator=generator, dtype=torch.float64, device=device) - 0.5
        jitter[0] = jitter[-1] = 0.0
        position = (place + jitter) / self.steps * process.steps
        left = position.floor().clamp(0, process.steps - 1).long()
        times = process.times[left] + (position - left) * (process.times[left + 1] - process.times[left])
        times[0], times[-1] = 0.0, 1.0
        return process.on(times)
