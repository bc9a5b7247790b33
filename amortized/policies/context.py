"""How contexts enter a network: taken apart, brought to one scale, and read by an embedding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import nn

from amortized._types import Tensor

HEAVY_TAIL = 12.0
"""In stds. Beyond, a few outliers would set the scale, and all other values would look alike to the network."""
LINEAR = 10.0
"""In stds. A network sees values up to here about linearly; a pixel that is hardly ever on lies beyond."""


class ContextReader(nn.Module):
    """``embedding(standardised parts)``: contexts ``(M, C)`` to features ``(M, size)``.

    Each part is standardised position by position. A part with values beyond 12 std is first compressed by ``asinh``.
    NaN marks the missing rows of a set and stays NaN.

    Args:
        embedding: gives ``(M, size)`` features of the parts.
        split: takes contexts ``(M, C)`` apart into one tensor ``(M, *shape)`` for each part.
        rows: contexts ``(M, C)``, whose means and stds are the units.
        sets: a part is a set, and its rows share one mean and std.

    Raises:
        ValueError: the embedding does not give ``(M, size)``.

    >>> from amortized.policies.embeddings import Perceptron
    >>> reader = ContextReader(Perceptron(size=8), lambda rows: [rows], torch.randn(50, 3))
    >>> reader(torch.randn(5, 3)).shape, reader.size
    (torch.Size([5, 8]), 8)
    """

    def __init__(
        self, embedding: nn.Module, split: Callable[[Tensor], Sequence[Tensor]], rows: Tensor, sets: bool = False
    ):
        super().__init__()
        self.embedding = embedding
        self.split = split
        self.scales = nn.ModuleList(_Standardised(part, sets) for part in split(rows))
        out = self._read(rows[:2])
        if out.ndim != 2 or len(out) != len(rows[:2]):
            raise ValueError(
                f"embedding: gives {tuple(out.shape)} for {len(rows[:2])} contexts, should be ({len(rows[:2])}, size)"
            )
        self.size = out.shape[1]

    def _read(self, rows: Tensor) -> Tensor:
        parts = zip(self.scales, self.split(rows), strict=True)
        return cast(Any, self.embedding)(*(scale(part) for scale, part in parts))

    def forward(self, rows: Tensor) -> Tensor:
        return self._read(rows)


class _Standardised(nn.Module):
    shift: Tensor
    scale: Tensor
    width: Tensor

    def __init__(self, values: Tensor, sets: bool):
        super().__init__()
        self.dtype = torch.get_default_dtype()  # the embedding's
        pooled = values.double().flatten(0, 1) if sets else values.double()
        mean, std = _moments(pooled)
        outliers = ((pooled - mean) / std).abs().nan_to_num(0.0)
        spread = (pooled - pooled.nanmedian(0).values).abs().nanmedian(0).values
        width = torch.where(spread > 0, spread, std)
        compressed = outliers.amax(0) > HEAVY_TAIL
        self.register_buffer("width", torch.where(compressed, width, torch.inf))
        mean, std = _moments(self._compressed(pooled))
        self.register_buffer("shift", mean)
        self.register_buffer("scale", std)

    def _compressed(self, values: Tensor) -> Tensor:
        finite = self.width.isfinite()
        width = torch.where(finite, self.width, 1.0)
        return torch.where(finite, (values / width).asinh(), values)

    def forward(self, values: Tensor) -> Tensor:
        standard = (self._compressed(values.double()) - self.shift) / self.scale
        return (LINEAR * (standard / LINEAR).asinh()).to(self.dtype)


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and std of every column without its NaN; a std of 0 counts as 1."""
    mean = values.nanmean(0)
    std = (values - mean).square().nanmean(0).sqrt()
    return mean, torch.where(std > 0, std, 1.0)
