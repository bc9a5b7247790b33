"""Trajectory balance: every path's weight should be Z, and Z is learned."""

from __future__ import annotations

import torch
from torch import nn

from amortized._types import Tensor
from amortized.objectives.base import Objective, finite_or_nan, huber
from amortized.path import Path


class TrajectoryBalance(Objective):
    """``(log w − log Z)²`` with a learned log Z that starts at the first batch's median log weight.

    Squared up to ``delta`` nats and linear beyond. Malkin et al., "Trajectory balance", arXiv 2201.13259; 2301.12594.
    """

    def __init__(self, delta: float = 10.0, learning_rate: float = 1e-2):
        super().__init__()
        self.delta = delta
        self.learning_rate = learning_rate
        self.log_partition = nn.Parameter(torch.zeros((), dtype=torch.float64))

    def forward(self, path: Path) -> Tensor:
        return huber(finite_or_nan(path.log_weight) - self.log_partition, self.delta)

    def initialise(self, path: Path) -> None:
        median = finite_or_nan(path.log_weight).nanmedian()
        if median.isfinite():
            with torch.no_grad():
                self.log_partition.copy_(median)
