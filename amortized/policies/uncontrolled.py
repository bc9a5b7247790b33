"""No control: the reference process itself."""

from __future__ import annotations

from amortized._types import Control, Tensor
from amortized.policies.base import Policy


class Uncontrolled(Policy):
    """Zero control, as every untrained policy, without a network and without the target's score.

    Args:
        dim: taken as by every policy; nothing depends on it.

    >>> import torch
    >>> Uncontrolled(3)(torch.ones(2, 3), torch.zeros(2, 1)).shift.tolist()
    [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    learns = False

    def __init__(self, dim: int):
        super().__init__()

    def forward(self, x: Tensor, t: Tensor, langevin: Tensor | None = None, context: Tensor | None = None) -> Control:
        return Control(x.new_zeros(x.shape), 0.0)
