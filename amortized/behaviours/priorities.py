"""Which rows of a buffer are replayed how often."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch

from amortized._types import Generator, Tensor
from amortized.behaviours.buffer import ReplayBuffer


class Priority(ABC):
    """Draws indices of a buffer's rows, with replacement."""

    @abstractmethod
    def rows(self, buffer: ReplayBuffer, count: int, generator: Generator | None = None) -> Tensor:
        """``(count,)`` int64, each below ``len(buffer)``."""


class CachedTable:
    """A table over all rows of a buffer, rebuilt once enough of them are new.

    Sorting or summing a large buffer for every batch would cost more than the batch. Until the next rebuilding, new
    rows are drawn only if they took the place of old ones.

    Args:
        build: the table ``(rows,)`` of a buffer.
        refresh: share of new rows, between 0 and 1, that makes a table old; 0 rebuilds after any new row.
    """

    def __init__(self, build: Callable[[ReplayBuffer], Tensor], refresh: float):
        if not 0 <= refresh < 1:
            raise ValueError(f"refresh={refresh}: the share of new rows after which to sort again; write refresh=0.01")
        self.build = build
        self.refresh = refresh
        self._last: tuple[ReplayBuffer, int, Tensor] | None = None

    def __call__(self, buffer: ReplayBuffer) -> Tensor:
        if self._last is not None:
            source, written, table = self._last
            if source is buffer and buffer.written - written <= self.refresh * len(table):
                return table
        table = self.build(buffer)
        self._last = buffer, buffer.written, table
        return table


def _descending(buffer: ReplayBuffer) -> Tensor:
    return buffer.log_target[: len(buffer)].argsort(descending=True)


def _cumulative(log_mass: Tensor) -> Tensor:
    return (log_mass - log_mass.max()).exp().cumsum(0)


def _from_cumulative(cumulative: Tensor, count: int, generator: Generator | None) -> Tensor:
    uniform = torch.rand(count, generator=generator, device=cumulative.device, dtype=torch.float64)
    return torch.searchsorted(cumulative, uniform * cumulative[-1], right=True).clamp(max=len(cumulative) - 1)


class UniformPriority(Priority):
    """Every row has the same probability."""

    def rows(self, buffer: ReplayBuffer, count: int, generator: Generator | None = None) -> Tensor:
        return torch.randint(len(buffer), (count,), generator=generator, device=buffer.ends.device)


class RankPriority(Priority):
    """Probability ∝ 1 / (weight · rows + rank); the highest density has rank 0 (arXiv 2402.05098, section 4.2).

    Args:
        weight: a small one draws the first ranks almost alone, a large one all rows alike.
        refresh: share of new rows after which the buffer is sorted again.
    """

    def __init__(self, weight: float = 0.01, refresh: float = 0.01):
        if not weight > 0:
            raise ValueError(f"weight={weight}: the first rank would be drawn always; write weight=0.01")
        self.weight = weight
        self.order = CachedTable(_descending, refresh)

    def rows(self, buffer: ReplayBuffer, count: int, generator: Generator | None = None) -> Tensor:
        order = self.order(buffer)
        offset = self.weight * len(order)
        uniform = torch.rand(count, generator=generator, device=order.device, dtype=torch.float64)
        rank = offset * torch.expm1(uniform * math.log1p(1 / self.weight))
        return order[rank.long().clamp(max=len(order) - 1)]


class RewardPriority(Priority):
    """Probability ∝ exp(log R / temperature): the tempered density of the remembered ends.

    Args:
        temperature: positive; below 1 it prefers the best ends even more.
        refresh: share of new rows after which the probabilities are computed again.
    """

    def __init__(self, temperature: float = 1.0, refresh: float = 0.01):
        if not temperature > 0:
            raise ValueError(f"temperature={temperature}: it divides log R; write temperature=1.0")
        self.temperature = temperature
        self.cumulative = CachedTable(self._build, refresh)

    def _build(self, buffer: ReplayBuffer) -> Tensor:
        return _cumulative(buffer.log_target[: len(buffer)] / self.temperature)

    def rows(self, buffer: ReplayBuffer, count: int, generator: Generator | None = None) -> Tensor:
        return _from_cumulative(self.cumulative(buffer), count, generator)


def _importance(buffer: ReplayBuffer) -> Tensor:
    log_weight = buffer.log_weight[: len(buffer)]
    known = log_weight[~log_weight.isnan()]
    mean = known.logsumexp(0) - math.log(len(known)) if len(known) else log_weight.new_zeros(())
    return _cumulative(torch.where(log_weight.isnan(), mean, log_weight))


class ImportancePriority(Priority):
    """Probability ∝ w, the weight of the end's path when it was stored: replayed ends follow the target.

    An end without a path (a chain's or the warm-up's) is taken for a draw of the target, and counts as the mean of the
    known weights. The weights are fair for paths of the policy itself, not for those of an ``Exploration``.

    Args:
        refresh: share of new rows after which the probabilities are computed again.
    """

    def __init__(self, refresh: float = 0.01):
        self.cumulative = CachedTable(_importance, refresh)

    def rows(self, buffer: ReplayBuffer, count: int, generator: Generator | None = None) -> Tensor:
        return _from_cumulative(self.cumulative(buffer), count, generator)
