"""An embedding of data sets of a fixed shape, read as vectors."""

from __future__ import annotations

import torch
from torch import nn

from amortized._types import Tensor

WIDEST = 8
"""Columns up to which a tensor counts as a table: eight have 28 correlations."""
LEAST_VARIANCE, CORRELATED = 1e-6, 0.999
"""Of a column in units of the context's std, and the largest correlation: their logarithm and artanh stay under 7."""


class Perceptron(nn.Module):
    """``f([x₁, x₂, …], s)``: a residual perceptron of all numbers of the context, ``(B, *shape)`` each; ``(B, size)``.

    ``s`` are statistics of every ``(B, N)`` or ``(B, N, F)`` with three rows or more and at most eight columns: mean,
    std and log std of each column, artanh of the correlations. A perceptron of the numbers alone hardly learns them
    where the scale of the data varies. The first call fixes the shapes.

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
        hidden = self.read(torch.cat([*columns, *map(statistics, filter(_is_table, context))], -1))
        for block in self.blocks:
            hidden = hidden + block(nn.functional.silu(hidden))
        return self.write(nn.functional.silu(hidden))


def _is_table(part: Tensor) -> bool:
    return part.ndim in (2, 3) and part.shape[1] > 2 and (part.ndim == 2 or part.shape[2] <= WIDEST)


def statistics(rows: Tensor) -> Tensor:
    """Mean, std and log std of each column of ``(B, N, F)`` or ``(B, N)``, artanh of their correlations.

    >>> statistics(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[ 2.0000,  0.8165, -0.2027]])
    """
    rows = rows[..., None] if rows.ndim == 2 else rows
    mean = rows.mean(1)
    gaps = rows - mean[:, None]
    std = (gaps.square().mean(1) + LEAST_VARIANCE).sqrt()
    standard = gaps / std[:, None]
    one, other = torch.tril_indices(rows.shape[2], rows.shape[2], -1, device=rows.device)
    correlations = (standard[..., one] * standard[..., other]).mean(1)
    return torch.cat([mean, std, std.log(), (CORRELATED * correlations).atanh()], -1)
