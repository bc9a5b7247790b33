"""The contract of a policy: from a state and a time to a control."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

from amortized._types import Control, Tensor


class Policy(nn.Module, ABC):
    """``(x, t, langevin, context) -> Control`` for any leading shape and any real t in [0, 1].

    An untrained policy gives zero control. The step length is not an input, since a control is about the path's end.
    """

    learns: bool = True
    """It has weights that training moves."""

    needs_score: bool = False
    """``forward`` takes the target's score, as ``langevin``."""

    def read(self, context: Tensor) -> Tensor:
        """Features ``(M, E)`` of contexts ``(M, C)``, which ``forward`` takes; the contexts themselves by default."""
        return context

    @abstractmethod
    def forward(self, x: Tensor, t: Tensor, langevin: Tensor | None = None, context: Tensor | None = None) -> Control:
        """The control at ``x`` and ``t``.

        Args:
            x: ``(..., S)``, the state in units of the reference's std.
            t: ``(..., 1)``, the time; broadcasts against x.
            langevin: ``(..., D)``, the shift that the target's score proposes; None unless ``needs_score``.
            context: ``(..., E)``, features of the contexts; None without contexts.
        """
