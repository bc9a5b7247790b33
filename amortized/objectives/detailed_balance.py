"""Detailed balance: every single step should carry the flow of its state to the next."""

from __future__ import annotations

from torch import nn

from amortized._types import Tensor
from amortized.objectives.base import PartitionObjective, huber
from amortized.objectives.flows import StateFlow
from amortized.path import ScoredPath


class DetailedBalance(PartitionObjective):
    """``mean_k (log F_k P_F − log F_{k+1} P_B)²`` with a learned state flow F, whose ends are ``Z p₀`` and R.

    Valid for paths from anywhere. Bengio et al., arXiv 2111.09266.

    Args:
        dim: S, the size of a state.
        forward_looking: lets the flow read the target along the path.
        width: of the flow's layers.
        delta: nats up to which the difference of a step is squared; beyond, the loss is linear.
        partition_rate: as in ``Objective``.

    >>> sum(weights.numel() for weights in DetailedBalance(dim=2).parameters()) > 1
    True
    """

    def __init__(
        self,
        dim: int,
        *,
        forward_looking: bool = False,
        width: int = 64,
        delta: float = 10.0,
        partition_rate: float = 1.0,
    ):
        super().__init__(partition_rate)
        self.needs_log_targets = forward_looking
        self.delta = delta
        self.flow = StateFlow(dim, width, forward_looking=forward_looking)

    def on_contexts(self, embedding: nn.Module) -> None:
        super().on_contexts(embedding)
        self.flow.on_contexts(embedding)

    def forward(self, path: ScoredPath) -> Tensor:
        return huber(self.flow(path, self.log_partitions(path)).diff(dim=0), self.delta).mean(0)
