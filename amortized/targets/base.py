"""The contract of a target: a batched, unnormalized log density on R^D that counts its evaluations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import torch
from torch.autograd.function import FunctionCtx, once_differentiable

from amortized._types import Generator, Sites, Tensor
from amortized.targets.troubles import Troubles

NAN, INFINITE, STEEP = "a log density of NaN", "a log density of +inf", "a finite log density without finite gradient"


class Presented(Protocol):
    """What training takes: a density, or a family of them that presents some at a time."""

    @property
    def dim(self) -> int: ...

    @property
    def device(self) -> torch.device: ...

    def presented(self, generator: Generator | None = None) -> Target:
        """What one training step looks at."""
        ...


class Target(ABC):
    """An unnormalized log density ``log R(x)`` in unconstrained space, Jacobians included.

    ``calls`` counts evaluations, one per particle, a gradient included in its evaluation. One bad particle never stops
    a batch, and each is counted by kind: where the density is NaN or +inf, ``log R`` is -inf and the score 0; where the
    density is finite and its gradient is not, ``log R`` stays and the score is 0, so that both ways to ask agree.
    Weights, HMC and MALA are exact for any finite score, so such a point costs speed alone. ``nonfinite`` counts both.
    ``context: (M, C)``: what the density is conditioned on, where that varies: row i of every batch belongs to context
    ``i mod M``, so a batch holds a multiple of M particles. ``numbers: (M,)`` are the contexts' places in a collection.
    """

    context: Tensor | None = None
    numbers: Tensor | None = None

    def __init__(self, dim: int, dtype: torch.dtype, device: torch.device):
        self.dim = dim
        self.dtype = dtype
        self.device = device
        self.calls = 0
        self._troubles = Troubles()

    @property
    def nonfinite(self) -> int:
        return self._troubles.total

    def troubles(self) -> list[str]:
        """What went wrong in evaluations so far, one sentence for each kind; empty where nothing did."""
        return self._troubles.sentences()

    def recheck(self, x: Tensor) -> bool:
        """Whether the density is at draws ``x: (N, D)`` what was checked when it was built; it is mended if not."""
        return True

    @property
    def contexts(self) -> int:
        """M, how many contexts take turns along a batch; 1 for a single density."""
        return 1 if self.context is None else len(self.context)

    def presented(self, generator: Generator | None = None) -> Target:
        """What one training step looks at: this density. A family of densities gives some of its members."""
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
        """``log R(x)``: ``(B, D) -> (B,)`` in nats; -inf where the density is not a number.

        Where ``x`` requires a gradient, it is the score of ``log_prob_and_score``; no second derivative is there.
        """
        if x.requires_grad and torch.is_grad_enabled():
            return _WithScore.apply(x, self)
        value = self._log_prob(x)
        self._count(x, value, value.isfinite())
        return _or_zero(value)

    def log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``log R(x)`` and ``∇ log R(x)``: ``(B, D) -> (B,), (B, D)``; detached from any graph."""
        value, score = self._log_prob_and_score(x)
        followed = score.isfinite().all(-1)
        self._count(x, value, followed)
        value = _or_zero(value)
        return value, torch.where((followed & (value > -torch.inf))[:, None], score, 0.0)

    def _count(self, x: Tensor, value: Tensor, followed: Tensor) -> None:
        """The particles; by kind those whose raw ``value: (B,)`` or gradient (not ``followed: (B,)``) is not finite."""
        self.calls += x.shape[0]
        self._troubles.evaluations += x.shape[0]
        finite = value.isfinite()
        if bool((finite & followed).all()):  # a device is asked once where all is well, not once for each kind
            return
        self._add(NAN, value.isnan(), x)
        self._add(INFINITE, value == torch.inf, x)
        self._add(STEEP, finite & ~followed, x)

    def _add(self, kind: str, bad: Tensor, x: Tensor) -> None:
        if count := int(bad.sum()):
            self._troubles.add(kind, count, lambda: self._fault(x[bad][:1]))

    def _fault(self, x: Tensor) -> str:
        """A word on what is at fault at one point ``x: (1, D)``; empty where nothing is known."""
        return ""


class _WithScore(torch.autograd.Function):
    """``log R(x)`` whose gradient is the score found in the same call, so that no graph is kept."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, target: Target) -> Tensor:
        value, score = target.log_prob_and_score(x.detach())
        ctx.save_for_backward(score.to(x))
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:
        (score,) = ctx.saved_tensors  # type: ignore[attr-defined]
        return gradient[:, None].to(score) * score, None


def _or_zero(value: Tensor) -> Tensor:
    """Log densities, -inf for those that are not a number: density zero."""
    return torch.where(value < torch.inf, value, -torch.inf)
