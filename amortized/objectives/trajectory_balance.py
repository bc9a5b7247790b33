"""Trajectory balance: every path's weight should be Z, and Z is learned."""

from __future__ import annotations

from amortized._types import Tensor
from amortized.objectives.base import PartitionObjective, finite_or_nan, huber
from amortized.path import ScoredPath


class TrajectoryBalance(PartitionObjective):
    """``(log w − log Z)²`` with a learned log Z that starts at the first batch's median log weight.

    Valid for paths from anywhere. Malkin et al., "Trajectory balance", arXiv 2201.13259; 2301.12594.

    Args:
        delta: nats up to which the residual is squared; beyond, the loss is linear.
        partition_rate: nats a step by which log Z moves at most; a slow one holds the policy back.
    """

    def __init__(self, *, delta: float = 10.0, partition_rate: float = 1.0):
        super().__init__(partition_rate)
        self.delta = delta

    def forward(self, path: ScoredPath) -> Tensor:
        return huber(finite_or_nan(path.log_weight) - self.log_partitions(path), self.delta)
