"""Paths noised back from remembered ends."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor, for_rows, rows_per_context
from amortized.behaviours.base import Behaviour
from amortized.behaviours.buffer import ContextBuffers, ReplayBuffer
from amortized.behaviours.priorities import Priority, UniformPriority
from amortized.path import ScoredPath, States
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.simulation import reverse_rollout
from amortized.targets.base import Target


class Replay(Behaviour):
    """Noises ends of a buffer back to the prior.

    Args:
        buffer: the ends.
        priority: how often each row is drawn; None draws uniformly. ``RankPriority()`` is that of arXiv 2402.05098.
        remember: adds the simulated ends that other parts of a mixture propose.
    """

    def __init__(self, buffer: ReplayBuffer | ContextBuffers, priority: Priority | None = None, remember: bool = True):
        self.buffer = buffer
        self.priority = UniformPriority() if priority is None else priority
        self.remember = remember

    def draw(self, target: Target, count: int, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """``count`` remembered ends ``(count, D)`` and their log R; the priority draws within each context.

        Raises:
            ValueError: an empty buffer, or a count that is no multiple of the contexts.
        """
        buffers = self.buffer.of(target)
        each = rows_per_context(count, len(buffers))
        ends, log_targets = [], []
        for buffer in buffers:
            if len(buffer) == 0:
                raise ValueError(
                    "the replay buffer is empty; write buffer.add(ends, log_target) with the warm-up's draws"
                )
            rows = self.priority.rows(buffer, each, generator)
            ends.append(buffer.ends[rows])
            log_targets.append(buffer.log_target[rows])
        return torch.stack(ends, 1).flatten(0, 1), torch.stack(log_targets, 1).flatten()

    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> States:
        return reverse_rollout(process, policy, target, *self.draw(target, batch, generator), generator)

    def fresh(self, batch: int) -> Tensor:
        return torch.zeros(batch, dtype=torch.bool)

    def observe(self, path: ScoredPath, fresh: Tensor | None = None) -> None:
        if not self.remember or fresh is None or not fresh.any():
            return
        fresh = fresh.to(path.ends.device)
        indices = None if path.indices is None else for_rows(path.indices, len(fresh))[fresh]
        log_weight = path.log_weight.detach()[fresh]
        self.buffer.add(path.ends.detach()[fresh], path.log_target.detach()[fresh], log_weight, indices)
