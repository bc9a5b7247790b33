"""Which rows of a buffer are replayed how often."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch

from amortized._types import Generator, Tensor
from amortized.behaviours.buffer import ReplayBuffer


class Priority(ABC):
    """Draws row numbers of a buffer, with replacement."""

    @abstractmethod
    def rows(self, buffer: ReplayBuffer, count: int, generator: Generator | None = None) -> Tensor:
        """``(count,)`` int64, each below ``len(buffer)``."""


class CachedTable:
    """What ``build`` finds in all rows of a buffer, kept until the share ``refresh`` of them has been written anew.

    Sorting or summing a large buffer for every batch would cost more than the batch. ``refresh=0`` always rebuilds
    after new rows; until then new rows are drawn only where they took the place of old ones.
    """

    def __init__(self, build: Callable[[ReplayBuffer], Tensor], refresh: float):
        if not 0 <= refresh < 1:
            raise ValueError(f"refresh={refresh}: write the share of new rows that it takes to sort, as refresh=0.01")
        self.build = build
        self.refresh = refresh
        self._kept: tuple[ReplayBuffer, int, Tensor] | None = None

    def __call__(self, buffer: ReplayBuffer) -> Tensor:
        if self._kept is not None:
            of, written, table = self._kept
            if of is buffer and buffer.written - written <= self.refresh * len(table):
                return table
        table = self.build(buffer)
        self._kept = buffer, buffer.written, table
        return table


def _descending(buffer: ReplayBuffer) -> Tensor:
    return buffer.log_target[: len(buffer)].argsort(descending=True)


def _cumulative(log_mass: Tensor) -> Tensor:
    return (log_mass - log_mass.max()).exp().cumsum(0)


def _from_cumulative(cumulative: Tensor, count: int, generator: Generator | None) -> Tensor:
    uniform = torch.rand(count, generator=generator, device=cumulative.device, dtype=torch.float64)
    return torch.searchsorted(cumulative, uniform * cumulative[-1], right=True).clamp(max=len(cumulative) - 1)


class UniformPriority(Priority):
    """All rows alike."""

    def rows(self, buffer: ReplayBuffer, count: int, generator: Generator | None = None) -> Tensor:
        return torch.randint(len(buffer), (count,), generator=generator, device=buffer.ends.device)


class RankPriority(Priority):
    """Probability ∝ 1 / (weight · rows + rank), the highest density having rank 0 (arXiv 2402.05098, section 4.2)."""

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
    """Probability ∝ exp(log R / temperature): the target's own density over the ends that are remembered, tempered."""

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
    """Probability ∝ w, the weight that the end's path had when it was stored, so that replayed ends follow the target.

    An end without a path (a chain's or the warm-up's) is taken for a draw of the target: it counts as the mean of the
    weights that are known, which is what such a draw is worth beside ends that were sampled. The weights are fair for
    paths of the policy itself, not for those of an ``Exploration``.
    """

    def __init__(self, refresh: float = 0.01):
        self.cumulative = CachedTable(_importance, refresh)

    def rows(self, buffer: ReplayBuffer, count: int, generator: Generator | None = None) -> Tensor:
        return _from_cumulative(self.cumulative(buffer), count, generator)
