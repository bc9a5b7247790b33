"""What the processes of one training run say to each other; one process alone says nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from amortized._types import Tensor

Part = TypeVar("Part")


class RankLost(RuntimeError):
    """Another process of the run has ended, or has not answered within the timeout of the process group."""


@dataclass(frozen=True)
class Ranks:
    """The processes of a run on the default group of ``torch.distributed``. One rank does nothing.

    Args:
        rank: number of this process, 0 to ``size - 1``.
        size: number of processes.

    >>> Ranks().same(3.0), list(Ranks(1, 2).shard(5))
    (3.0, [2, 3, 4])
    """

    rank: int = 0
    size: int = 1

    def average_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each gradient by its mean over ranks, in one message; a missing one counts as zero."""
        if self.size == 1:
            return
        trained = [each for each in parameters if each.requires_grad]
        means = self._mean([torch.zeros_like(each) if each.grad is None else each.grad for each in trained])
        for parameter, mean in zip(trained, means, strict=True):
            parameter.grad = mean

    @torch.no_grad()
    def average(self, values: Iterable[Tensor]) -> None:
        """Replace each tensor in place by its mean over ranks."""
        if self.size == 1:
            return
        values = list(values)
        for value, mean in zip(values, self._mean(values), strict=True):
            value.copy_(mean)

    def means(self, numbers: Iterable[float]) -> list[float]:
        """The mean of each number over ranks, to the same last digit on all of them."""
        numbers = list(numbers)
        everyone = self.gathered(numbers)
        return numbers if self.size == 1 else [sum(column) / self.size for column in zip(*everyone, strict=True)]

    @torch.no_grad()
    def copy_first(self, values: Iterable[Tensor]) -> None:
        """Replace each tensor in place by that of rank 0."""
        if self.size > 1:
            for value in values:
                _asked(lambda value=value: dist.broadcast(value.data, 0))

    def same(self, value: float) -> float:
        """The number of rank 0, on every rank: a plan or a decision that all follow."""
        if self.size == 1:
            return value
        told = torch.tensor(value, dtype=torch.float64)
        _asked(lambda: dist.broadcast(told, 0))
        return float(told)

    def gathered(self, part: Part) -> list[Part]:
        """The parts of all ranks in their order, on every rank."""
        if self.size == 1:
            return [part]
        parts: list[Any] = [None] * self.size
        _asked(lambda: dist.all_gather_object(parts, part))
        return parts

    def check_same(self, text: str, what: str) -> None:
        """Raise ``ValueError`` on every rank unless all ranks have the same text.

        Args:
            text: of this rank.
            what: what differs, and what to do, for the message.
        """
        texts = self.gathered(text)
        others = [rank for rank, other in enumerate(texts) if other != texts[0]]
        if others:
            raise ValueError(f"process {others[0]} of {self.size} has {what}")

    def shard(self, count: int) -> range:
        """This rank's part of ``range(count)``; the parts of all ranks follow each other and cover it."""
        return range(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def seed(self, seed: int, again: int = 0) -> int:
        """A seed of this rank's own; that of rank 0 is ``seed`` itself at the first time.

        Args:
            seed: of the run.
            again: differs where the same run draws once more.

        >>> Ranks().seed(7), Ranks(1, 2).seed(7) == Ranks(1, 3).seed(7)
        (7, True)
        """
        if self.rank == 0 and not again:
            return seed
        mixed = hashlib.sha256(f"{seed} {self.rank} {again}".encode())
        return int.from_bytes(mixed.digest()[:4], "little")  # torch reads 32 bits of a seed

    def _mean(self, values: list[Tensor]) -> list[Tensor]:
        """Means over ranks, in one message for each dtype."""
        means: list[Tensor] = list(values)
        for dtype in dict.fromkeys(value.dtype for value in values):
            places = [i for i, value in enumerate(values) if value.dtype == dtype]
            flat = torch.cat([values[i].reshape(-1) for i in places])
            _asked(lambda flat=flat: dist.all_reduce(flat))
            parts = (flat / self.size).split([values[i].numel() for i in places])
            for i, part in zip(places, parts, strict=True):
                means[i] = part.view_as(values[i])
        return means


def _asked(collective: Callable[[], object]) -> None:
    try:
        collective()
    except RuntimeError as error:
        raise RankLost("another process of this run was lost: start the same command again") from error
