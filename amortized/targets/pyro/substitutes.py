"""Equal operations in place of a model's own, which fail under vmap, or at all particles because of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as functional
from torch.overrides import TorchFunctionMode

from amortized._types import Tensor


def cholesky_or_nan(matrix: Tensor, upper: bool = False) -> Tensor:
    """The Cholesky factor of ``(..., n, n)``; NaN in place of an error where a matrix is not positive definite.

    >>> cholesky_or_nan(torch.stack([torch.eye(1), -torch.eye(1)])).flatten().tolist()
    [1.0, nan]
    """
    factor, info = torch.linalg.cholesky_ex(matrix, upper=upper)
    return torch.where(info[..., None, None] == 0, factor, torch.nan)


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """``(1 − y) x − log sigmoid(x)``: two operations, where vmap's own decomposition has fourteen.

    >>> cross_entropy(torch.zeros(1), torch.ones(1)).item() == functional.softplus(torch.zeros(1)).item()
    True
    """
    return (1 - target) * logits - functional.logsigmoid(logits)


def fill(target: Tensor, index: Any, value: Tensor | float) -> None:
    """``target[index] = value``, by ``masked_fill_``, which vmap can run, for a boolean mask and a number."""
    if isinstance(index, Tensor) and index.dtype == torch.bool and isinstance(value, (int, float)):
        target.masked_fill_(index.reshape(index.shape + (1,) * (target.dim() - index.dim())), value)
    else:
        target[index] = value


def binomial(count: Tensor, prob: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Binomial draws, with counts and probabilities broadcast first, as vmap's rule needs them.

    >>> binomial(torch.tensor([3.0]), torch.ones(2, 1)).tolist()
    [[3.0], [3.0]]
    """
    return torch.binomial(count + torch.zeros_like(prob), prob + torch.zeros_like(count), generator=generator)


class Substitutes(TorchFunctionMode):
    """A context in which a model's operations are replaced by equal ones that vmap can run.

    Args:
        zero: A scalar 0 of the particle, added to every floating tensor that the model allocates: vmap then gives each
            particle its own memory. ``None`` leaves the tensors as they are.
    """

    replaced: dict[Callable, Callable] = {
        torch.linalg.cholesky: cholesky_or_nan,
        torch.cholesky: cholesky_or_nan,
        torch.Tensor.cholesky: cholesky_or_nan,
        torch.binomial: binomial,
        torch.Tensor.__setitem__: fill,
        torch.Tensor.clamp_: lambda target, *args, **kwargs: target.copy_(target.clamp(*args, **kwargs)),
        torch.Tensor.data.__get__: lambda target: target.detach(),  # type: ignore[attr-defined]
    }
    allocating = {
        torch.zeros,
        torch.ones,
        torch.empty,
        torch.full,
        torch.zeros_like,
        torch.ones_like,
        torch.empty_like,
        torch.full_like,
        torch.Tensor.new_zeros,
        torch.Tensor.new_ones,
        torch.Tensor.new_empty,
        torch.Tensor.new_full,
    }

    def __init__(self, zero: Tensor | None = None):
        super().__init__()
        self.zero = zero

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in self.replaced:
            return self.replaced[func](*args, **kwargs)
        if func is functional.binary_cross_entropy_with_logits and kwargs.get("reduction") == "none" and len(args) == 2:
            if kwargs.get("weight") is None and kwargs.get("pos_weight") is None:
                return cross_entropy(*args)
        result = func(*args, **kwargs)
        if self.zero is not None and func in self.allocating and result.is_floating_point():
            return result + self.zero.to(result.dtype)
        return result
