"""Cholesky factors that fail for one particle, not for its batch."""

from __future__ import annotations

import torch
from torch.overrides import TorchFunctionMode

from amortized._types import Tensor


def cholesky_or_nan(matrix: Tensor, upper: bool = False) -> Tensor:
    """The Cholesky factor of ``(..., n, n)``; NaN, instead of an error, where a matrix is not positive definite.

    >>> cholesky_or_nan(torch.stack([torch.eye(1), -torch.eye(1)])).flatten().tolist()
    [1.0, nan]
    """
    factor, info = torch.linalg.cholesky_ex(matrix, upper=upper)
    return torch.where(info[..., None, None] == 0, factor, torch.nan)


class FailingParticlesAreNaN(TorchFunctionMode):
    """Within it, every ``torch.linalg.cholesky`` of a model is ``cholesky_or_nan``."""

    raising = (torch.linalg.cholesky, torch.cholesky, torch.Tensor.cholesky)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in self.raising:
            return cholesky_or_nan(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))
