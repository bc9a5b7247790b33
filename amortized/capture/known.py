"""What the recorded runs tell about a node of the new graph."""

from __future__ import annotations

from typing import Any

from amortized._types import Tensor


class Known:
    """What the two recorded runs tell about a node: its values at both batch sizes, and whether they are one number."""

    def __init__(self, one: Any, two: Any):
        self.one = one
        self.two = two

    @property
    def splat(self) -> float | None:
        """The number that fills the tensor at both sizes; ``None`` where there is none."""
        for value in (self.one, self.two):
            if not isinstance(value, Tensor) or value.numel() == 0 or value.is_complex():
                return None
        first = self.one.detach().reshape(-1)[0]
        if bool((self.one == first).all()) and bool((self.two == first.to(self.two.dtype)).all()):
            return float(first)
        return None

    def looks_like(self, other: Known) -> bool:
        """Whether both have the same dtype and, at both batch sizes, the same shape."""
        return all(
            isinstance(a, Tensor) and isinstance(b, Tensor) and a.shape == b.shape and a.dtype == b.dtype
            for a, b in ((self.one, other.one), (self.two, other.two))
        )
