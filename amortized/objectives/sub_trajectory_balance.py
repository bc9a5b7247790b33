"""Sub-trajectory balance: the flow should balance over every part of a path, short parts counting most."""

from __future__ import annotations

import torch
from torch import nn

from amortized._types import Tensor
from amortized.objectives.base import PartitionObjective
from amortized.objectives.flows import StateFlow
from amortized.path import ScoredPath


class SubTrajectoryBalance(PartitionObjective):
    """``Σ_{i<j} λ^{j−i} (A_i − A_j)² / Σ_{i<j} λ^{j−i}`` with ``A_k = log F_k − Σ_{l<k} (log P_F − log P_B)``.

    At balance A is constant along a path. F is a learned state flow whose ends are ``Z p₀`` and R. Valid for paths from
    anywhere. Madan et al., arXiv 2209.12782; Pan et al., 2302.01687; 2310.02679.

    Args:
        dim: S, the size of a state.
        decay: λ; small is detailed balance, large is trajectory balance.
        forward_looking: lets the flow read the target along the path (FL-SubTB).
        width: of the flow's layers.
        delta: root mean square in nats up to which the loss is a square; beyond, it is linear.
        partition_rate: as in ``Objective``.

    >>> SubTrajectoryBalance(dim=2, decay=0.9).pairs(2, torch.float64).tolist()
    [[0.0, 0.9, 0.81], [0.9, 0.0, 0.9], [0.81, 0.9, 0.0]]
    """

    def __init__(
        self,
        dim: int,
        *,
        decay: float = 0.9,
        forward_looking: bool = False,
        width: int = 64,
        delta: float = 10.0,
        partition_rate: float = 1.0,
    ):
        super().__init__(partition_rate)
        if not decay > 0:
            raise ValueError(f"decay={decay}: the weight of a longer part must be positive; write decay=0.9")
        self.needs_log_targets = forward_looking
        self.decay = decay
        self.delta = delta
        self.flow = StateFlow(dim, width, forward_looking=forward_looking)

    def pairs(self, steps: int, dtype: torch.dtype, device: torch.device | None = None) -> Tensor:
        """``λ^|i−j|`` with an empty diagonal, divided by its largest element if that is over 1: ``(K+1, K+1)``."""
        place = torch.arange(steps + 1, dtype=dtype, device=device)
        apart = (place[:, None] - place).abs()
        longest = steps if self.decay > 1 else 0
        return torch.where(apart > 0, self.decay ** (apart - longest), 0.0)

    def on_contexts(self, embedding: nn.Module) -> None:
        super().on_contexts(embedding)
        self.flow.on_contexts(embedding)

    def forward(self, path: ScoredPath) -> Tensor:
        potential = self.flow(path, self.log_partitions(path))
        weights = self.pairs(len(potential) - 1, potential.dtype, potential.device)
        potential = potential - potential.detach().nanmean(0)
        known = potential.isfinite().to(potential.dtype)
        potential = torch.where(potential.isnan(), 0.0, potential)
        products = potential * (weights @ potential)
        total = (potential.square() * (weights @ known) - products).sum(0) / (0.5 * weights.sum())
        near = total <= self.delta**2
        far = 2 * self.delta * total.clamp(min=self.delta**2).sqrt() - self.delta**2
        return torch.where(near, total, far)
