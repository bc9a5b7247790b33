"""A Gaussian whose mean and covariance depend on the context: its affine map whitens each posterior."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import nn

from amortized._types import Tensor

FULL_UP_TO = 64
"""Dimensions: a full triangle has 2,080 numbers then, and a solve costs less than the network."""


class ConditionalGaussian(nn.Module):
    """``N(m(c), L(c) L(c)ᵀ)`` on R^D: ``c: (M, C)`` to ``m: (M, D)`` and lower-triangular ``L: (M, D, D)``.

    Args:
        embedding: reads the contexts; its output has ``embedding.size`` features.
        shift: ``(D,)``, mean of draws over all contexts; an untrained network returns it.
        scale: ``(D,)``, their std; the units of the network.
        full: L is a full triangle; None: up to 64 dimensions, and diagonal beyond.
        width: of the hidden layers.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, embedding: nn.Module, shift: Tensor, scale: Tensor, full: bool | None = None, width: int = 128):
        super().__init__()
        dim = len(shift)
        self.dim = dim
        self.embedding = embedding
        self.full = dim <= FULL_UP_TO if full is None else full
        self.register_buffer("shift", shift)
        self.register_buffer("scale", scale)
        off_diagonal = dim * (dim - 1) // 2 if self.full else 0
        self.hidden = nn.Sequential(
            nn.Linear(int(cast(Any, embedding).size), width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.head = nn.Linear(width, 2 * dim + off_diagonal)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Mean ``(M, D)`` and lower triangle ``(M, D, D)`` at contexts ``(M, C)``."""
        outputs = self.head(self.hidden(self.embedding(context)))
        mean, log_diagonal, below = outputs.split([self.dim, self.dim, outputs.shape[1] - 2 * self.dim], -1)
        scale_tril = torch.diag_embed(log_diagonal.exp())
        if self.full and self.dim > 1:
            rows, columns = torch.tril_indices(self.dim, self.dim, -1, device=mean.device)
            triangle = torch.zeros_like(scale_tril)
            triangle[:, rows, columns] = below * log_diagonal.exp()[:, rows]
            scale_tril = scale_tril + triangle
        return self.shift + self.scale * mean, self.scale[:, None] * scale_tril

    def log_prob(self, x: Tensor, context: Tensor) -> Tensor:
        """``log N(x; m(c), L Lᵀ): (M,)`` in nats, of ``x: (M, D)``, one for each context."""
        mean, scale_tril = self(context)
        white = torch.linalg.solve_triangular(scale_tril, (x - mean)[..., None], upper=False)[..., 0]
        log_det = scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return -0.5 * (white.square() + math.log(2 * math.pi)).sum(-1) - log_det
