"""Explicit transforms from coordinates onto supports, with their log-determinants."""

from __future__ import annotations

import math
from typing import Any

import torch
from pyro.distributions import constraints
from torch.distributions import biject_to

Tensor = torch.Tensor


class LowerTriangular:
    """``R^{n(n+1)/2}`` onto lower triangular matrices, row by row, with a diagonal of ``exp`` (or 1, and fewer rows).

    ``gram``: onto ``L Lᵀ``, where ``dA = 2ⁿ Π L_iiⁿ⁻ⁱ⁺¹ dL`` for i = 1 … n (Muirhead 1982, theorem 2.1.9).
    """

    def __init__(self, unit: bool = False, gram: bool = False):
        self.unit, self.gram = unit, gram

    def inverse_shape(self, shape: torch.Size) -> torch.Size:
        side = shape[-1]
        return torch.Size((*shape[:-2], side * (side - 1) // 2 if self.unit else side * (side + 1) // 2))

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(..., size)`` to matrices ``(..., n, n)`` and log-determinants ``(...)``."""
        side = next(n for n in range(1, 100) if self.inverse_shape(torch.Size((n, n)))[0] == x.shape[-1])
        rows, place = [], 0
        log_det = x.new_zeros(x.shape[:-1])
        for i in range(side):
            below, place = x[..., place : place + i], place + i
            last, place = (torch.ones_like(x[..., :1]), place) if self.unit else (x[..., place : place + 1], place + 1)
            log_det = log_det if self.unit else log_det + (side - i + 1 if self.gram else 1) * last[..., 0]
            zeros = x.new_zeros((*x.shape[:-1], side - i - 1))
            rows.append(torch.cat([below, last if self.unit else last.exp(), zeros], -1))
        matrix = torch.stack(rows, -2)
        if self.gram:
            return matrix @ matrix.mT, log_det + side * math.log(2)
        return matrix, log_det


class Torch:
    """The same for every support that ``torch.distributions.biject_to`` maps one to one."""

    def __init__(self, support: constraints.Constraint):
        self.transform: Any = biject_to(support)

    def inverse_shape(self, shape: torch.Size) -> torch.Size:
        return torch.Size(self.transform.inverse_shape(shape))

    def __call__(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value = self.transform(x)
        return value, self.transform.log_abs_det_jacobian(x, value)


def explicit(support: constraints.Constraint) -> LowerTriangular | Torch:
    """Coordinates onto a support; ``biject_to`` is not one to one on triangular and on positive definite matrices."""
    while isinstance(support, constraints.independent) and support.base_constraint.event_dim:
        support = support.base_constraint
    if support is constraints.lower_cholesky:
        return LowerTriangular()
    if support is constraints.unit_lower_cholesky:
        return LowerTriangular(unit=True)
    if support is constraints.positive_definite:
        return LowerTriangular(gram=True)
    return Torch(support)
