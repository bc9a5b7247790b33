"""Where a state keeps the target's variables, and which part of a state a step draws."""

from __future__ import annotations

from amortized._types import Tensor


class Layout:
    """The layout of a state that is the target's variables and nothing else: a step draws all of it.

    A process whose state carries more gives a layout of its own. A step from ``x_k = x`` to ``x_{k+1} = y`` then draws
    the *moved* part of y, the noising kernel draws the *retraced* part of x, and ``advance`` computes the rest. Both
    parts are one variable, so that both kernels are densities of the same thing. k is a step, or one a slice of x.
    """

    def advance(self, k: int | Tensor, x: Tensor, moved: Tensor) -> Tensor:
        """``x_{k+1}: (..., S)`` from ``x_k = x`` and its moved part ``(..., D)``."""
        return moved

    def moved(self, k: int | Tensor, y: Tensor) -> Tensor:
        """The part ``(..., D)`` of ``x_{k+1} = y`` that the forward kernel drew."""
        return y

    def retraced(self, k: int | Tensor, x: Tensor) -> Tensor:
        """The part ``(..., D)`` of ``x_k = x`` that the noising kernel drew."""
        return x

    def visited(self, k: int | Tensor, x: Tensor) -> Tensor:
        """The target's variables ``(..., D)`` at which a step from ``x_k = x`` asks for the score."""
        return x

    def log_carried(self, x: Tensor) -> Tensor:
        """Known log density of what ``x_K`` carries beside the target's variables: ``(..., S) -> (...)``."""
        return x.new_zeros(x.shape[:-1])
