"""How contexts enter a network: taken apart, brought to one scale, and read by an embedding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import nn

from amortized._types import Tensor

HEAVY_TAIL = 12.0
"""Standard deviations beyond which a part of the context is compressed."""
LINEAR = 10.0
"""Standard deviations up to which what a network sees is about linear; a pixel that is hardly ever on goes beyond."""


class ContextReader(nn.Module):
    """``embedding(standardised parts)``: contexts ``(M, C)`` to features ``(M, size)``.

    ``split`` takes rows ``(M, C)`` apart into one tensor ``(M, *shape)`` for each part. Every part is standardised by
    the ``rows`` at hand, position by position, or over all rows of a set where it is one (``sets``); a part with values
    over 12 standard deviations out is first compressed by ``asinh``. NaN, the missing rows of a set, stays NaN.
    Raises ``ValueError`` where the embedding does not give ``(M, size)``.

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
        mean, deviation = _moments(pooled)
        outliers = ((pooled - mean) / deviation).abs().nan_to_num(0.0)
        spread = (pooled - pooled.nanmedian(0).values).abs().nanmedian(0).values
        width = torch.where(spread > 0, spread, deviation)
        compressed = outliers.amax(0) > HEAVY_TAIL
        self.register_buffer("width", torch.where(compressed, width, torch.inf))
        mean, deviation = _moments(self._compressed(pooled))
        self.register_buffer("shift", mean)
        self.register_buffer("scale", deviation)

    def _compressed(self, values: Tensor) -> Tensor:
        finite = self.width.isfinite()
        width = torch.where(finite, self.width, 1.0)
        return torch.where(finite, (values / width).asinh(), values)

    def forward(self, values: Tensor) -> Tensor:
        standard = (self._compressed(values.double()) - self.shift) / self.scale
        return (LINEAR * (standard / LINEAR).asinh()).to(self.dtype)


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation of every column, NaN left out; a deviation of 0 counts as 1."""
    mean = values.nanmean(0)
    deviation = (values - mean).square().nanmean(0).sqrt()
    return mean, torch.where(deviation > 0, deviation, 1.0)
