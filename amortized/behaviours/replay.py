"""Paths noised back from remembered ends."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.behaviours.base import Behaviour
from amortized.behaviours.buffer import ReplayBuffer
from amortized.behaviours.priorities import Priority, UniformPriority
from amortized.path import Path, reverse_rollout
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.targets.base import Target


class Replay(Behaviour):
    """Noises ends of a buffer back to the prior; ``remember`` adds the simulated ends of a mixture that it is part of.

    ``priority`` says which rows are drawn how often, uniformly if it is None; ``RankPriority()`` is that of
    arXiv 2402.05098. Its own ends, being in the buffer, are not added again.
    """

    def __init__(self, buffer: ReplayBuffer, priority: Priority | None = None, remember: bool = True):
        self.buffer = buffer
        self.priority = UniformPriority() if priority is None else priority
        self.remember = remember

    def rows(self, count: int, generator: Generator | None = None) -> Tensor:
        """Row numbers of the buffer, drawn by the priority. Raises ValueError while it is empty."""
        if len(self.buffer) == 0:
            raise ValueError("the replay buffer is empty; write buffer.add(ends, log_target) with the warm-up's draws")
        return self.priority.rows(self.buffer, count, generator)

    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> Path:
        rows = self.rows(batch, generator)
        return reverse_rollout(
            process, policy, target, self.buffer.ends[rows], self.buffer.log_target[rows], generator
        )

    def fresh(self, batch: int) -> Tensor:
        return torch.zeros(batch, dtype=torch.bool)

    def observe(self, path: Path, fresh: Tensor | None = None) -> None:
        if not self.remember or fresh is None or not fresh.any():
            return
        fresh = fresh.to(path.ends.device)
        log_weight = None if path.log_forward is None else path.log_weight.detach()[fresh]
        self.buffer.add(path.ends.detach()[fresh], path.log_target.detach()[fresh], log_weight)
