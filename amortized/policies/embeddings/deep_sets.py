"""Data sets whose rows have no order and whose size varies."""

from __future__ import annotations

import torch
from torch import nn

from amortized._types import Tensor


class DeepSets(nn.Module):
    """``f(mean_i g(r_i), log(1 + N))`` of rows ``r_1 … r_N``, where ``g(r) = [(A r) ∘ (B r), perceptron(r)]``.

    Tensors ``(B, N)`` or ``(B, N, F)`` of the same B and N are joined to one row of features for each of the N; a row
    with a NaN is padding and changes nothing. Returns ``(B, size)``, the same for any order of the rows. The products
    are there because the sufficient statistics of Gaussian models are sums of them. ``width`` is that of every hidden
    layer; the number of features is learned from the first call. Raises ValueError for tensors without common rows.
    Zaheer et al., arXiv 1703.06114.

    >>> embedding = DeepSets(size=8)
    >>> embedding(torch.randn(5, 20, 3), torch.randn(5, 20)).shape
    torch.Size([5, 8])
    """

    def __init__(self, size: int = 64, width: int = 128):
        super().__init__()
        self.size = size
        self.factors = nn.LazyLinear(2 * width)
        self.rows = nn.Sequential(nn.LazyLinear(width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.read = nn.Linear(2 * width + 1, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.write = nn.Linear(width, size)

    def forward(self, *context: Tensor) -> Tensor:
        rows = _joined(context)
        present = ~rows.isnan().any(-1, keepdim=True)
        rows = torch.where(present, rows, 0.0)
        left, right = self.factors(rows).chunk(2, -1)
        features = torch.where(present, torch.cat([left * right, self.rows(rows)], -1), 0.0)
        count = present.sum(1).to(rows.dtype)
        hidden = self.read(torch.cat([features.sum(1) / count.clamp(min=1), count.log1p()], -1))
        for block in self.blocks:
            hidden = hidden + block(nn.functional.silu(hidden))
        return self.write(nn.functional.silu(hidden))


def _joined(context: tuple[Tensor, ...]) -> Tensor:
    """Rows ``(B, N, F₁ + F₂ + …)`` of tensors ``(B, N)`` and ``(B, N, F)``."""
    shapes = [tuple(tensor.shape) for tensor in context]
    if not context or any(len(shape) not in (2, 3) for shape in shapes) or len({shape[:2] for shape in shapes}) > 1:
        raise ValueError(
            f"context: {shapes}, should be tensors (B, N) or (B, N, F) of one B and one N; "
            "write embedding=Perceptron() for data that are no sets"
        )
    return torch.cat([tensor if tensor.ndim == 3 else tensor[..., None] for tensor in context], -1)
