"""How time enters a network."""

from __future__ import annotations

import math

import torch
from torch import nn

from amortized._types import Tensor


class CosineTime(nn.Module):
    """``cos(π j t)`` for j = 0 … size − 1: smooth, bounded features ``(..., size)`` of ``t: (..., 1)``.

    >>> CosineTime(3)(torch.tensor([[0.0], [1.0]])).round().tolist()
    [[1.0, 1.0, 1.0], [1.0, -1.0, 1.0]]
    """

    frequencies: Tensor

    def __init__(self, size: int = 16):
        super().__init__()
        self.register_buffer("frequencies", math.pi * torch.arange(size, dtype=torch.float32), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        return (t * self.frequencies.to(t.dtype)).cos()
