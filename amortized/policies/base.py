"""The contract of a policy: from a state and a time to a control."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import nn

from amortized._types import Control, Tensor


class Policy(nn.Module, ABC):
    """``(x, t, langevin, context) -> Control`` for any leading shape and any real t in [0, 1].

    ``x: (..., D)`` is the state in units of the reference's deviation, ``t`` the time, which
    broadcasts against x with a last dimension of 1, ``langevin: (..., D)``
    the shift that the target's score proposes (``None`` unless ``needs_score``), ``context: (..., E)`` what ``read``
    made of the contexts, ``None`` where there are none.
    A fresh policy gives zero control. The step length is not an input: a control speaks of the path's end.
    """

    needs_score: bool = False

    def read(self, context: Tensor) -> Tensor:
        """Contexts ``(M, C)`` to the features ``(M, E)`` that ``forward`` takes; unchanged by default."""
        return context

    @abstractmethod
    def forward(self, x: Tensor, t: Tensor, langevin: Tensor | None = None, context: Tensor | None = None) -> Control:
        """The control at ``x`` and ``t``."""
