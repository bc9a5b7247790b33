"""What the two recorded runs say about a node of the new graph."""

from __future__ import annotations

from typing import Any

from amortized._types import Tensor


class Known:
    """The values of a node at both batch sizes.

    Args:
        one: What the operation returned at the first batch size: a tensor, or several in a tuple or list.
        two: The same at the second batch size.
    """

    def __init__(self, one: Any, two: Any):
        self.one = one
        self.two = two

    @property
    def splat(self) -> float | None:
        """The one number that fills the tensor at both batch sizes, or ``None``."""
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
