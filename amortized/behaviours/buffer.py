"""The memory of replay: a ring of ends."""

from __future__ import annotations

import torch

from amortized._types import Tensor


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

    def add(self, ends: Tensor, log_target: Tensor, log_weight: Tensor | None = None) -> None:
        """Remember ``ends: (B, D)`` with ``log_target`` and, if they have any, path weights ``(B,)``, in nats.

        Rows whose density or given weight is not finite are left out.
        """
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
