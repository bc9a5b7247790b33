"""The contract of a target: a batched, unnormalized log density on R^D that counts its evaluations."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any, Protocol

import torch
from torch.autograd.function import once_differentiable

from amortized._types import Generator, Sites, Tensor
from amortized.targets.troubles import Troubles

NAN = "a log density of NaN"
INFINITE = "a log density of +inf"
STEEP = "a finite log density without finite gradient"
"""The kinds of non-finite values, as ``Target.troubles`` names them."""


class Presented(Protocol):
    """What training takes: one density, or a family of densities that presents some of its members at each step."""

    @property
    def dim(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def presented(self, generator: Generator | None = None) -> Target:
        """The density of one training step."""
        ...


class Target(ABC):
    """An unnormalized log density ``log R(x)`` in unconstrained space, Jacobians included.

    A subclass gives the raw ``_log_prob`` and ``_log_prob_and_score``, and ``constrain``. This class does the rest:

    - **Gradients.** ``log_prob`` is differentiable. Its gradient is the score, which comes with the value.
    - **Counts.** ``calls`` counts evaluations, one for each particle; a gradient belongs to its evaluation.
      ``nonfinite`` counts bad particles, and ``troubles()`` names each kind: NaN, +inf, a finite density without
      finite gradient, and each class of exception that a user's model raises.
    - **Bad particles.** No bad particle stops a batch. A density of NaN or +inf becomes ``log R = -inf`` with score 0.
      A finite density without finite gradient keeps its ``log R`` and has score 0. Weights, HMC and MALA are exact for
      any finite score, so such a point only costs speed.

    A density may depend on a ``context: (M, C)``. Row i of every batch then belongs to context ``i mod M``, so a batch
    holds a multiple of M particles. ``indices: (M,)`` are the places of the contexts in a collection.

    Args:
        dim: D, the number of unconstrained variables.
        dtype: Of ``x`` and of the score.
        device: Of ``x``.
    """

    context: Tensor | None = None
    indices: Tensor | None = None

    def __init__(self, dim: int, dtype: torch.dtype, device: torch.device):
        self.dim = dim
        self.dtype = dtype
        self.device = device
        self.calls = 0
        self._troubles = Troubles()

    @property
    def nonfinite(self) -> int:
        """The number of evaluations at which the density, or its gradient, was not finite or the model raised."""
        return self._troubles.total

    def troubles(self) -> list[str]:
        """One sentence for each kind of evaluation that went wrong so far; empty if none did."""
        return self._troubles.sentences()

    def counted(self) -> tuple[int, Troubles]:
        """The number of evaluations so far, and what went wrong in them."""
        return self.calls, self._troubles

    def count_on(self, calls: int, troubles: Troubles) -> None:
        """Go on counting from what another target of the same density has ``counted``."""
        self.calls, self._troubles = calls, troubles

    def recheck(self, x: Tensor) -> bool:
        """Compares the density at draws ``x: (N, D)`` with its plain definition, and mends it if they differ.

        Returns:
            False if the density had to be mended: values from before may be wrong.
        """
        return True

    @property
    def contexts(self) -> int:
        """M, the number of contexts that take turns along a batch; 1 for a single density."""
        return 1 if self.context is None else len(self.context)

    def presented(self, generator: Generator | None = None) -> Target:
        """The density of one training step: this one. A family of densities gives some of its members."""
        return self

    @abstractmethod
    def _log_prob(self, x: Tensor) -> Tensor:
        """The raw log density ``(B,)`` at ``x: (B, D)``."""

    @abstractmethod
    def _log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The raw log density ``(B,)`` and its gradient ``(B, D)`` at ``x: (B, D)``."""

    @abstractmethod
    def constrain(self, x: Tensor) -> Sites:
        """The model's own sites ``{name: (B, *event)}`` at ``x: (B, D)``, deterministic sites included."""

    def log_prob(self, x: Tensor) -> Tensor:
        """``log R(x)`` in nats, differentiable in ``x``.

        Args:
            x: ``(B, D)``. If it requires a gradient, that is the score; it cannot be differentiated again.

        Returns:
            ``(B,)``; -inf where the raw density is NaN or +inf.
        """
        if x.requires_grad and torch.is_grad_enabled():
            return _WithScore.apply(x, self)
        value = self._log_prob(x)
        self._count(x.shape[0])
        if self._is_sound(value.sum()):
            return value
        self._note(x, value, value.isfinite())
        return or_zero(value)

    def log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``log R(x)`` in nats and the score ``∇ log R(x)``, detached from any graph.

        Args:
            x: ``(B, D)``.

        Returns:
            ``(B,)`` and ``(B, D)``; the score is 0 where it, or the density, is not finite.
        """
        value, score = self._log_prob_and_score(x)
        self._count(x.shape[0])
        if self._is_sound(value.sum() + score.sum()):
            return value, score.detach() if score.requires_grad else score
        is_score_finite = score.isfinite().all(-1)
        self._note(x, value, is_score_finite)
        value = or_zero(value)
        return value, torch.where((is_score_finite & (value > -torch.inf))[:, None], score, 0.0)

    def quicken(self, seconds: float) -> bool:
        """Makes calls faster, if ``seconds`` of them repay the work. Whether they are made faster; by default not."""
        return False

    def _count(self, particles: int) -> None:
        """Counts particles."""
        self.calls += particles
        self._troubles.evaluations += particles

    def _is_sound(self, total: Tensor) -> bool:
        """Whether all terms of a sum are finite, in few operators; False also where a sum of finite terms overflows."""
        return math.isfinite(float(total))

    def _note(self, x: Tensor, value: Tensor, is_score_finite: Tensor) -> None:
        """Counts, by kind, the particles whose raw value or score is not finite; all masks ``(B,)``."""
        is_finite = value.isfinite()
        self._add(NAN, value.isnan(), x)
        self._add(INFINITE, value == torch.inf, x)
        self._add(STEEP, is_finite & ~is_score_finite, x)

    def _add(self, kind: str, bad: Tensor, x: Tensor) -> None:
        if count := int(bad.sum()):
            self._troubles.add(kind, count, lambda: self._fault(x[bad][:1]))

    def _fault(self, x: Tensor) -> str:
        """What is at fault at one point ``x: (1, D)``, in a few words; empty if nothing is known."""
        return ""


class _WithScore(torch.autograd.Function):
    """``log R(x)`` whose gradient is the score found in the same call, so that no graph is kept."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, target: Target) -> Tensor:
        value, score = target.log_prob_and_score(x.detach())
        ctx.save_for_backward(score.to(x))
        return value

    @staticmethod
    @once_differentiable  # which hides the parameters' names from pyright
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        (score,) = ctx.saved_tensors
        return gradients[0][:, None].to(score) * score, None


def or_zero(value: Tensor) -> Tensor:
    """Log densities, with -inf, density zero, in place of NaN and +inf."""
    return torch.where(value < torch.inf, value, -torch.inf)
