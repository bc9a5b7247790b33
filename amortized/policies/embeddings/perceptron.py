"""An embedding of data sets of a fixed shape, read as vectors."""

from __future__ import annotations

import torch
from torch import nn

from amortized._types import Tensor


class Perceptron(nn.Module):
    """``f([x₁, x₂, …])``: a residual perceptron of all the context's numbers, ``(B, *shape)`` each, to ``(B, size)``.

    The first call fixes the shapes.

    Args:
        size: features.
        width: of the hidden layers.
        depth: residual layers.

    Raises:
        ValueError: in a call, for tensors without a common first dimension.

    >>> Perceptron(size=8)(torch.randn(5, 3, 2), torch.randn(5)).shape
    torch.Size([5, 8])
    """

    def __init__(self, size: int = 64, width: int = 128, depth: int = 2):
        super().__init__()
        self.size = size
        self.read = nn.LazyLinear(width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.write = nn.Linear(width, size)

    def forward(self, *context: Tensor) -> Tensor:
        if not context or len({tensor.shape[:1] for tensor in context}) > 1 or context[0].ndim == 0:
            shapes = [tuple(tensor.shape) for tensor in context]
            raise ValueError(
                f"context: {shapes}, should be tensors (B, *shape) of one B; write embedding(x[None]) for a single x"
            )
        columns = [tensor.flatten(1) if tensor.ndim > 1 else tensor[:, None] for tensor in context]
        hidden = self.read(torch.cat(columns, -1))
        for block in self.blocks:
            hidden = hidden + block(nn.functional.silu(hidden))
        return self.write(nn.functional.silu(hidden))
