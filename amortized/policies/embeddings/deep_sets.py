"""An embedding of data sets whose rows have no order, and whose size varies."""

from __future__ import annotations

import torch
from torch import nn

from amortized._types import Tensor

PROJECTIONS = 16
"""Size of the inverse, whose elements are 512 of the summaries; its cost grows with the cube."""
START = 0.5
"""Factor on the projections: the inverse starts near the identity."""


class DeepSets(nn.Module):
    """``f(mean_i g(r_i), S, log(1 + N))`` of rows ``r_1 … r_N``: the same for any order of the rows, ``(B, size)``.

    Tensors ``(B, N)`` or ``(B, N, F)`` of one B and N are concatenated to N rows of features. A row with a NaN is
    padding and changes nothing. ``g(r) = [(A r) ∘ (B r), h(r)]`` with a perceptron h, since the sufficient statistics
    of Gaussian models are sums of such products. ``S = (I + Σ_i w_i w_iᵀ)⁻¹`` with ``w_i = C [r_i, h(r_i)]`` of size
    16: elements of S and their ratios are posterior means and variances of Gaussian models. The first call fixes F.
    Zaheer et al., arXiv 1703.06114; the inverse is ours.

    Args:
        size: features.
        width: of every hidden layer.

    Raises:
        ValueError: in a call, for tensors without common rows.

    >>> embedding = DeepSets(size=8)
    >>> embedding(torch.randn(5, 20, 3), torch.randn(5, 20)).shape
    torch.Size([5, 8])
    """

    def __init__(self, size: int = 64, width: int = 64):
        super().__init__()
        self.size = size
        self.factors = nn.LazyLinear(2 * width)
        self.perceptron = nn.Sequential(nn.LazyLinear(width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.project = nn.LazyLinear(PROJECTIONS)
        summaries = 2 * width + 2 * PROJECTIONS**2 + PROJECTIONS + 1
        self.read = nn.Linear(summaries, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.write = nn.Linear(width, size)
        self.skip = nn.Linear(summaries, size)

    def forward(self, *context: Tensor) -> Tensor:
        rows = _concatenated(context)
        present = ~rows.isnan().any(-1, keepdim=True)
        rows = torch.where(present, rows, 0.0)
        left, right = self.factors(rows).chunk(2, -1)
        found = self.perceptron(rows)
        features = torch.where(present, torch.cat([left * right, found], -1), 0.0)
        projected = torch.where(present, self.project(torch.cat([rows, found], -1)), 0.0)
        count = present.sum(1).to(rows.dtype)
        mean = features.sum(1) / count.clamp(min=1)
        summaries = torch.cat([mean, conditionals(START * projected), count.log1p()], -1)
        hidden = self.read(summaries)
        for block in self.blocks:
            hidden = hidden + block(nn.functional.silu(hidden))
        return self.write(nn.functional.silu(hidden)) + self.skip(summaries)


def conditionals(rows: Tensor) -> Tensor:
    """Elements of ``S = (I + Σ_i w_i w_iᵀ)⁻¹``, ``S_jk / S_jj`` and ``log S_jj`` of ``w: (B, N, P)``; ``(B, 2P² + P)``.

    ``− S_jk / S_jj`` for k ≠ j are the coefficients of a ridge regression of w_j on all others.
    """
    wide = rows.double()  # in single precision, rows far outside the training range lose the diagonal
    identity = torch.eye(rows.shape[-1], dtype=wide.dtype, device=rows.device)
    inverse = torch.linalg.inv(identity + wide.mT @ wide)
    diagonal = inverse.diagonal(dim1=-2, dim2=-1)
    parts = [inverse.flatten(1), (inverse / diagonal[..., None]).flatten(1), diagonal.log()]
    return torch.cat(parts, -1).to(rows.dtype)


def _concatenated(context: tuple[Tensor, ...]) -> Tensor:
    """Rows ``(B, N, F₁ + F₂ + …)`` of tensors ``(B, N)`` and ``(B, N, F)``."""
    shapes = [tuple(tensor.shape) for tensor in context]
    if not context or any(len(shape) not in (2, 3) for shape in shapes) or len({shape[:2] for shape in shapes}) > 1:
        raise ValueError(
            f"context: {shapes}, should be tensors (B, N) or (B, N, F) of one B and one N; "
            "write embedding=Perceptron() for data that are no sets"
        )
    return torch.cat([tensor if tensor.ndim == 3 else tensor[..., None] for tensor in context], -1)
