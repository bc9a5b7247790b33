"""Paths noised back from remembered ends."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.behaviours.base import Behaviour
from amortized.path import Path, reverse_rollout
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.targets.base import Target


class ReplayBuffer:
    """A preallocated ring of ends ``(capacity, D)`` and their ``log R``; the oldest rows are overwritten.

    >>> buffer = ReplayBuffer(dim=1, capacity=2)
    >>> buffer.add(torch.tensor([[1.0], [2.0], [3.0]]), torch.zeros(3))
    >>> sorted(buffer.ends[: len(buffer), 0].tolist())
    [2.0, 3.0]
    """

    def __init__(self, dim: int, capacity: int = 100_000, device: torch.device | str = "cpu"):
        self.ends = torch.empty(capacity, dim, device=device)
        self.log_target = torch.empty(capacity, dtype=torch.float64, device=device)
        self.capacity = capacity
        self.written = 0
        self._ranks: Tensor | None = None

    def __len__(self) -> int:
        return min(self.written, self.capacity)

    def add(self, ends: Tensor, log_target: Tensor) -> None:
        """Remember ``ends: (B, D)``; rows whose density is not finite are left out."""
        finite = log_target.isfinite()
        ends, log_target = ends[finite][-self.capacity :], log_target[finite][-self.capacity :]
        rows = (self.written + torch.arange(len(ends), device=self.ends.device)) % self.capacity
        self.ends[rows] = ends.to(self.ends.dtype)
        self.log_target[rows] = log_target.double()
        self.written += len(ends)
        self._ranks = None

    def uniform(self, count: int, generator: Generator | None = None) -> Tensor:
        """Row numbers, all alike."""
        return torch.randint(len(self), (count,), generator=generator, device=self.ends.device)

    def by_rank(self, count: int, weight: float = 0.01, generator: Generator | None = None) -> Tensor:
        """Row numbers with probability ∝ 1 / (weight · rows + rank), the highest density having rank 0."""
        if self._ranks is None:
            self._ranks = self.log_target[: len(self)].argsort(descending=True)
        offset = weight * len(self)
        uniform = torch.rand(count, generator=generator, device=self.ends.device, dtype=torch.float64)
        rank = offset * ((len(self) + offset) / offset) ** uniform - offset
        return self._ranks[rank.long().clamp(max=len(self) - 1)]


class Replay(Behaviour):
    """Noises ends of a buffer back to the prior; remembers the ends that training visits when ``remember``.

    ``prioritize=True`` draws by rank of ``log R`` (arXiv 2402.05098), else uniformly.
    """

    def __init__(self, buffer: ReplayBuffer, prioritize: bool = False, remember: bool = True):
        self.buffer = buffer
        self.prioritize = prioritize
        self.remember = remember

    def rows(self, count: int, generator: Generator | None = None) -> Tensor:
        """Row numbers of the buffer, drawn as this replay draws them."""
        draw = self.buffer.by_rank if self.prioritize else self.buffer.uniform
        return draw(count, generator=generator)

    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> Path:
        if len(self.buffer) == 0:
            raise ValueError("the replay buffer is empty; write buffer.add(ends, log_target) with the warm-up's draws")
        rows = self.rows(batch, generator)
        return reverse_rollout(
            process, policy, target, self.buffer.ends[rows], self.buffer.log_target[rows], generator
        )

    def observe(self, path: Path) -> None:
        if self.remember:
            self.buffer.add(path.ends.detach(), path.log_target.detach())
