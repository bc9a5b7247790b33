"""The contract of a target: a batched, unnormalized log density on R^D that counts its evaluations."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol

import torch

from amortized._types import Generator, Sites, Tensor


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

    ``calls`` counts evaluations, one per particle, a gradient included in its evaluation;
    ``nonfinite`` counts the particles among them whose density was NaN or +inf, or whose score was not finite.
    Such a particle gets log density -inf and score 0, so that one bad particle never stops a batch.
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
        self._nonfinite = torch.zeros((), dtype=torch.long, device=device)

    @property
    def nonfinite(self) -> int:
        return int(self._nonfinite)

    def troubles(self) -> list[str]:
        """What went wrong in evaluations so far, one sentence for each kind; empty where nothing did."""
        count = self.nonfinite
        return [f"{count:,} of {self.calls:,} densities were not finite"] if count else []

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
        """``log R(x)``: ``(B, D) -> (B,)`` in nats; -inf where the density is not a number."""
        value = self._log_prob(x)
        bad = value.isnan() | (value == torch.inf)
        self._count(x, bad)
        return torch.where(bad, -torch.inf, value)

    def log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``log R(x)`` and ``∇ log R(x)``: ``(B, D) -> (B,), (B, D)``; detached from any graph."""
        value, score = self._log_prob_and_score(x)
        bad = value.isnan() | (value == torch.inf) | ~score.isfinite().all(-1)
        self._count(x, bad)
        value = torch.where(bad, -torch.inf, value)
        return value, torch.where((value == -torch.inf)[:, None], 0.0, score)

    def _count(self, x: Tensor, bad: Tensor) -> None:
        self.calls += x.shape[0]
        self._nonfinite += bad.sum()
