"""The contract of a policy: from a state and a time to a control."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import nn

from amortized._types import AffineSteps, Control, Tensor


class Steering(ABC):
    """A policy at the times of one simulation."""

    @abstractmethod
    def __call__(self, k: int, x: Tensor, langevin: Tensor | None, context: Tensor | None) -> Control:
        """The control of ``forward(x, times[k], langevin, context)``."""

    def walk(self, steps: AffineSteps, x: Tensor, noise: Tensor, score: Callable[[Tensor], Tensor]) -> Tensor | None:
        """All states ``(K+1, B, D)`` of affine steps; None where the control needs more than state, time and score.

        Args:
            steps: of the process.
            x: ``(B, D)``, the first states.
            noise: ``(K, B, D)`` of std 1.
            score: ``∇ log R``, ``(B, D) -> (B, D)``; asked once a step, in turn, by a policy that needs it.
        """
        return None

    def recall(self, policy: nn.Module, x: Tensor, langevin: Tensor | None) -> Control | None:
        """The controls ``(K, B, D)`` that it gave, with the slopes of the policy's weights.

        None if nothing was kept, or if the policy is another one or has learned since.

        Args:
            policy: the one that made this.
            x: ``(K, B, S)``, all states that it saw.
            langevin: ``(K, B, D)``, as it saw them.
        """
        return None

    def kept_tensors(self) -> list[Tensor]:
        """What ``recall`` reads: nothing by default."""
        return []

    def with_kept(self, tensors: list[Tensor]) -> Steering:
        """The same, which reads these in place of ``kept_tensors()``."""
        return self


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

    def at(self, times: Tensor, record: bool = False) -> Steering:
        """The policy at times ``(K,)``: what depends on time alone is computed once.

        Args:
            times: of the states before each step.
            record: keeps what ``Steering.recall`` needs, where the policy can.
        """
        return _Plain(self, times)

    @abstractmethod
    def forward(self, x: Tensor, t: Tensor, langevin: Tensor | None = None, context: Tensor | None = None) -> Control:
        """The control at ``x`` and ``t``.

        Args:
            x: ``(..., S)``, the state in units of the reference's std.
            t: ``(..., 1)``, the time; broadcasts against x.
            langevin: ``(..., D)``, the shift that the target's score proposes; None unless ``needs_score``.
            context: ``(..., E)``, features of the contexts; None without contexts.
        """


class _Plain(Steering):
    def __init__(self, policy: Policy, times: Tensor):
        self.policy, self.each = policy, times[:, None, None].unbind()

    def __call__(self, k: int, x: Tensor, langevin: Tensor | None, context: Tensor | None) -> Control:
        return self.policy(x, self.each[k], langevin, context)
