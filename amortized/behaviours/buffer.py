"""The memory of replay: a ring of ends, or one for every context."""

from __future__ import annotations

import torch

from amortized._types import Tensor
from amortized.targets.base import Target


class ReplayBuffer:
    """A preallocated ring of ends ``(capacity, D)`` with their log R and log weights; new rows overwrite the oldest.

    ``log_weight`` is that of the end's path when it was stored, NaN for an end without a path.

    Args:
        dim: D.
        capacity: rows.
        device: of all tensors.

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
        """The ring of each of the target's contexts. Raises ``ValueError`` if one ring would mix several contexts."""
        if target.contexts > 1:
            raise ValueError(
                f"one buffer for {target.contexts} contexts would mix their ends; write ContextBuffers({target.dim}, N)"
            )
        return [self]

    def add(
        self, ends: Tensor, log_target: Tensor, log_weight: Tensor | None = None, indices: Tensor | None = None
    ) -> None:
        """Remember ends; those whose density or given weight is not finite are left out.

        Args:
            ends: ``(B, D)``.
            log_target: their log R ``(B,)``, in nats.
            log_weight: of their paths ``(B,)``, in nats; None if they have no paths.
            indices: ``(B,)``, of their contexts.

        Raises:
            ValueError: ``indices`` of several contexts.
        """
        if indices is not None and len(indices) and bool((indices != indices[0]).any()):
            raise ValueError(
                f"ends of contexts {indices.unique().tolist()} for one buffer; write ContextBuffers(dim, contexts)"
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
    """A ring of ends for each context; an end is replayed for its own context alone.

    Args:
        dim: D.
        contexts: how many rings.
        capacity: rows of each ring.
        device: of all tensors.

    >>> buffers = ContextBuffers(dim=1, contexts=9, capacity=2)
    >>> buffers.add(torch.tensor([[1.0], [2.0], [3.0]]), torch.zeros(3), indices=torch.tensor([7, 8, 7]))
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
        """The ring of one context, to be read, not written."""
        ring = ReplayBuffer(self.ends.shape[-1], capacity=1, device=self.ends.device)
        ring.ends, ring.log_target = self.ends[number], self.log_target[number]
        ring.log_weight = self.log_weight[number]
        ring.capacity, ring.written = self.capacity, int(self.written[number])
        return ring

    def of(self, target: Target) -> list[ReplayBuffer]:
        """The ring of each of the target's contexts. Raises ``ValueError`` if these contexts have no indices."""
        if target.indices is None:
            raise ValueError("these contexts have no indices to remember them by; write family.at(rows, indices)")
        return [self[number] for number in target.indices.tolist()]

    def add(
        self, ends: Tensor, log_target: Tensor, log_weight: Tensor | None = None, indices: Tensor | None = None
    ) -> None:
        """As ``ReplayBuffer.add``; ``indices: (B,)`` names the context of each end."""
        if indices is None:
            raise ValueError("indices: whose ends are these? write buffers.add(ends, log_target, indices=indices)")
        finite = log_target.isfinite()
        if log_weight is None:
            log_weight = torch.full_like(log_target, torch.nan, dtype=torch.float64)
        else:
            finite = finite & log_weight.isfinite()
        rows = finite.nonzero()[:, 0]
        rows = rows[indices[rows].argsort(stable=True)]
        whose = indices[rows]
        counts = whose.bincount(minlength=len(self.written))
        turn = torch.arange(len(rows), device=rows.device) - (counts.cumsum(0) - counts)[whose]
        places = (self.written[whose] + turn) % self.capacity
        kept = turn >= counts[whose] - self.capacity
        rows, places = rows[kept], (whose[kept], places[kept])
        self.ends[places] = ends[rows].to(self.ends.dtype)
        self.log_target[places] = log_target[rows].double()
        self.log_weight[places] = log_weight[rows].double()
        self.written += counts
