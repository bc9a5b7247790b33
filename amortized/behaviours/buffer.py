"""The memory of replay: a ring of ends, or one for every context."""

from __future__ import annotations

import torch

from amortized._types import Tensor
from amortized.targets.base import Target


class ReplayBuffer:
    """A preallocated ring of ends ``(capacity, D)``, their ``log R`` and log weights; the oldest rows are overwritten.

    ``log_weight`` is that of the path an end came from, when it was stored; NaN where there was no path.

    >>> buffer = ReplayBuffer(dim=1, capacity=2)
    >>> buffer.add(torch.tensor([[1.0], [2.0], [3.0]]), torch.zeros(3))
    >>> sorted(buffer.ends[: len(buffer), 0].tolist())
    [2.0, 3.0]
    """

    def __init__(self, dim: int, capacity: int = 100_000, device: torch.device | str = "cpu"):
        if capacity < 1:
            raise ValueError(f"capacity={capacity}: a buffer holds at least one end; write capacity=100_000")
        self.ends = torch.empty(capacity, dim, device=device)
        self.log_target = torch.empty(capacity, dtype=torch.float64, device=device)
        self.log_weight = torch.empty(capacity, dtype=torch.float64, device=device)
        self.capacity = capacity
        self.written = 0

    def __len__(self) -> int:
        return min(self.written, self.capacity)

    def of(self, target: Target) -> list[ReplayBuffer]:
        """The memory of each of the target's contexts. Raises ``ValueError`` where one ring would mix several."""
        if target.contexts > 1:
            raise ValueError(
                f"one buffer for {target.contexts} contexts would mix their ends; write ContextBuffers({target.dim}, N)"
            )
        return [self]

    def add(
        self, ends: Tensor, log_target: Tensor, log_weight: Tensor | None = None, numbers: Tensor | None = None
    ) -> None:
        """Remember ``ends: (B, D)`` with ``log_target`` and, if they have any, path weights ``(B,)``, in nats.

        Rows whose density or given weight is not finite are left out. ``numbers: (B,)``, of their contexts, may name
        one context only.
        """
        if numbers is not None and len(numbers) and bool((numbers != numbers[0]).any()):
            raise ValueError(
                f"ends of contexts {numbers.unique().tolist()} for one buffer; write ContextBuffers(dim, contexts)"
            )
        finite = log_target.isfinite()
        if log_weight is None:
            log_weight = torch.full_like(log_target, torch.nan, dtype=torch.float64)
        else:
            finite = finite & log_weight.isfinite()
        rows = finite.nonzero()[-self.capacity :, 0]
        places = (self.written + torch.arange(len(rows), device=self.ends.device)) % self.capacity
        self.ends[places] = ends[rows].to(self.ends.dtype)
        self.log_target[places] = log_target[rows].double()
        self.log_weight[places] = log_weight[rows].double()
        self.written += len(rows)


class ContextBuffers:
    """A ring of ends for each of ``contexts`` contexts: what is remembered for one is never replayed for another.

    >>> buffers = ContextBuffers(dim=1, contexts=9, capacity=2)
    >>> buffers.add(torch.tensor([[1.0], [2.0], [3.0]]), torch.zeros(3), numbers=torch.tensor([7, 8, 7]))
    >>> buffers[7].ends[:, 0].tolist(), len(buffers[8]), len(buffers)
    ([1.0, 3.0], 1, 3)
    """

    def __init__(self, dim: int, contexts: int, capacity: int = 32, device: torch.device | str = "cpu"):
        self.capacity = capacity
        self.ends = torch.empty(contexts, capacity, dim, device=device)
        self.log_target = torch.empty(contexts, capacity, dtype=torch.float64, device=device)
        self.log_weight = torch.empty(contexts, capacity, dtype=torch.float64, device=device)
        self.written = torch.zeros(contexts, dtype=torch.long, device=device)

    def __len__(self) -> int:
        return int(self.written.clamp(max=self.capacity).sum())

    def __getitem__(self, number: int) -> ReplayBuffer:
        """What is remembered for one context; to be read, not written."""
        ring = ReplayBuffer(self.ends.shape[-1], capacity=1, device=self.ends.device)
        ring.ends, ring.log_target, ring.log_weight = (
            self.ends[number],
            self.log_target[number],
            self.log_weight[number],
        )
        ring.capacity, ring.written = self.capacity, int(self.written[number])
        return ring

    def of(self, target: Target) -> list[ReplayBuffer]:
        """The memory of each of the target's contexts. Raises ``ValueError`` where they have no numbers."""
        if target.numbers is None:
            raise ValueError("these contexts have no numbers to remember them by; write family.at(rows, numbers)")
        return [self[number] for number in target.numbers.tolist()]

    def add(
        self, ends: Tensor, log_target: Tensor, log_weight: Tensor | None = None, numbers: Tensor | None = None
    ) -> None:
        """As ``ReplayBuffer.add``, each end for the context whose number stands beside it in ``numbers: (B,)``."""
        if numbers is None:
            raise ValueError("numbers: whose ends are these? write buffers.add(ends, log_target, numbers=numbers)")
        finite = log_target.isfinite()
        if log_weight is None:
            log_weight = torch.full_like(log_target, torch.nan, dtype=torch.float64)
        else:
            finite = finite & log_weight.isfinite()
        rows = finite.nonzero()[:, 0]
        rows = rows[numbers[rows].argsort(stable=True)]
        whose = numbers[rows]
        counts = whose.bincount(minlength=len(self.written))
        turn = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[whose]
        places = (self.written[whose] + turn) % self.capacity
        kept = turn >= counts[whose] - self.capacity
        rows, places = rows[kept], (whose[kept], places[kept])
        self.ends[places] = ends[rows].to(self.ends.dtype)
        self.log_target[places] = log_target[rows].double()
        self.log_weight[places] = log_weight[rows].double()
        self.written += counts
