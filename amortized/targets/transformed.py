"""Changes of coordinates: a density in other coordinates, and the one way back to those that were given."""

from __future__ import annotations

from abc import abstractmethod

import torch

from amortized._types import Tensor
from amortized.targets.base import Target
from amortized.targets.wrapped import WrappedTarget


class TransformedTarget(WrappedTarget):
    """A density in coordinates ``u``, where ``x = f(u)``; it has the same Z.

        log R'(u) = log R(f(u)) + log |det ∂f/∂u|

    ``target`` is the density of x. It may be in changed coordinates itself; ``to_origin`` and ``from_origin`` go all
    the way.
    """

    @abstractmethod
    def moved(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """``x = f(u)`` in the dtype of ``target``, ``(B, D)``, and ``log |det ∂f/∂u|``, ``(B,)`` in float64."""

    @abstractmethod
    def moved_back(self, x: Tensor) -> Tensor:
        """``u = f⁻¹(x)``, ``(B, D)`` in this target's dtype."""

    def inside(self, x: Tensor) -> Tensor:
        return self.moved(x)[0]

    def _log_prob(self, x: Tensor) -> Tensor:
        inside, log_dets = self.moved(x)
        return self.target.log_prob(inside).double() + log_dets


def origin(target: Target) -> Target:
    """The density that was given, before any change of coordinates.

    Args:
        target: in any coordinates.
    """
    while isinstance(target, TransformedTarget):
        target = target.target
    return target


def to_origin(target: Target, u: Tensor) -> tuple[Tensor, Tensor]:
    """Points in the coordinates of ``origin(target)``, and the log determinant of the whole way there.

    Args:
        target: in any coordinates.
        u: ``(B, D)`` in the coordinates of ``target``.

    Returns:
        ``(B, D)`` and ``(B,)``, the second in float64.

    >>> from amortized.targets.affine import WhitenedTarget
    >>> from amortized.targets.callable import DensityTarget
    >>> wide = DensityTarget(lambda x: -0.5 * ((x - 3.0) / 10.0).square().sum(-1), dim=1)
    >>> once = WhitenedTarget(wide, torch.tensor([3.0]), torch.tensor([[5.0]]))
    >>> twice = WhitenedTarget(once, torch.zeros(1), torch.tensor([[2.0]]))
    >>> [round(float(value), 3) for value in to_origin(twice, torch.ones(1, 1))]
    [13.0, 2.303]
    """
    log_dets = torch.zeros(len(u), dtype=torch.float64, device=u.device)
    while isinstance(target, TransformedTarget):
        u, more = target.moved(u)
        log_dets, target = log_dets + more, target.target
    return u, log_dets


def from_origin(target: Target, x: Tensor) -> Tensor:
    """Points in the coordinates of ``target``; the inverse of ``to_origin``.

    Args:
        target: in any coordinates.
        x: ``(B, D)`` in the coordinates of ``origin(target)``.
    """
    if isinstance(target, TransformedTarget):
        return target.moved_back(from_origin(target.target, x))
    return x
