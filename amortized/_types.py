"""Shape letters and aliases used in every signature, and the order of rows of several contexts.

K steps of a path, B paths (or particles), D latent dimension, C context dimension, M contexts.
Time comes first: states ``(K+1, B, D)``, per-step log densities ``(K, B)``, losses ``(B,)``.
Row i of B belongs to context ``i mod M``: ``by_context``, ``for_rows`` and ``whole_rounds`` alone know this order.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import torch
from torch import nn

Tensor = torch.Tensor
Generator = torch.Generator
Sites = dict[str, Tensor]
LogDensity = Callable[[Tensor], Tensor]
T = TypeVar("T")


class AffineSteps(NamedTuple):
    """Forward steps of a fixed variance: ``x_{k+1} = drift_k x_k + push_k shift + stride_k noise``.

    Args:
        scale: K numbers; a network reads ``scale_k x_k``.
        drift: K numbers.
        push: ``(K, 1, 1)``.
        stride: ``(K, 1, 1)``.
        gain: K numbers; the score proposes the shift ``gain_k (∇ log R + pull x_k)``.
        pull: 1 / variance of the reference's ends.
    """

    scale: list[float]
    drift: list[float]
    push: Tensor
    stride: Tensor
    gain: list[float]
    pull: float


class Belief(NamedTuple):
    """Posterior mean and std of the end ``x_K`` given the present state ``x_k``, under the reference: ``(..., D)``.

    The mean is what a denoiser returns, known in closed form before any training. A control corrects both.
    """

    mean: Tensor
    std: Tensor

    @property
    def deviation(self) -> Tensor:
        """The former name of ``std``."""
        return renamed("Belief.deviation", "std", self.std)


class Control(NamedTuple):
    """A policy's correction of the belief about the end ``x_K``; zero control is the reference process.

    ``shift: (..., D)``: E[x_K | x_k] minus its reference value, in units of the reference's std of ``x_K``.
    ``log_variance: (..., D)``: log of Var[x_K | x_k] over its reference value; a float 0 where it is not learned.
    """

    shift: Tensor
    log_variance: Tensor | float


class TrainingStep(NamedTuple):
    """What a callback sees after an optimiser step.

    ``number`` counts steps from 1 and ``planned`` is their planned total. ``parts`` holds the averaged weights,
    ``{"process": …, "policy": …}``. ``skipped`` counts the steps so far whose gradient was not finite. It and the loss
    are on the device where training runs: ``float(loss)`` waits for it.
    """

    number: int
    planned: int
    loss: Tensor | float
    parts: nn.ModuleDict
    skipped: Tensor | int = 0


Callback = Callable[[TrainingStep], bool]
"""Called after every optimiser step; True stops the run."""


def rows_per_context(count: int, contexts: int) -> int:
    """``B / M``. Raises ``ValueError`` unless ``count`` rows are a multiple of the number of contexts."""
    each, rest = divmod(count, contexts)
    if rest:
        raise ValueError(
            f"{count} rows of {contexts} contexts: write a multiple, for instance {max(each, 1) * contexts}"
        )
    return each


def by_context(values: Tensor, contexts: int) -> Tensor:
    """``(..., B)`` as ``(..., B / M, M)``: a column for each context.

    >>> by_context(torch.arange(6), 3).tolist()
    [[0, 1, 2], [3, 4, 5]]
    """
    return values.unflatten(-1, (rows_per_context(values.shape[-1], contexts), contexts))


def for_rows(values: Tensor, count: int) -> Tensor:
    """Values ``(M, ...)`` of contexts for each of ``count`` rows: ``(count, ...)``.

    >>> for_rows(torch.tensor([7, 8, 9]), 6).tolist()
    [7, 8, 9, 7, 8, 9]
    """
    return values.repeat(rows_per_context(count, len(values)), *(1,) * (values.ndim - 1))


def whole_rounds(count: int, contexts: int) -> int:
    """The largest multiple of ``contexts`` up to ``count``, and one row for each context at the least.

    >>> whole_rounds(1_000, 3), whole_rounds(2, 3)
    (999, 3)
    """
    return max(1, count // contexts) * contexts


def renamed(old: str, new: str, value: T, stacklevel: int = 3) -> T:
    """``value``, with a ``DeprecationWarning`` that its name ``old`` is ``new`` now, at the caller's caller."""
    warnings.warn(f"{old} is now called {new}; the old name goes with the next release", DeprecationWarning, stacklevel)
    return value


def renamed_member(module: str, name: str, names: Mapping[str, Callable]) -> Callable:
    """What a module's ``__getattr__`` returns for a former name of one of its members, with a warning."""
    if name not in names:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    return renamed(f"{module}.{name}", names[name].__name__, names[name], stacklevel=4)
