"""A target in the coordinates of another one, which it asks."""

from __future__ import annotations

from abc import abstractmethod

from amortized._types import Sites, Tensor
from amortized.targets.base import Target


class WrappedTarget(Target):
    """A density that asks another, ``target``, at ``inside(x)``; it counts calls, ``target`` what goes wrong."""

    target: Target

    @abstractmethod
    def inside(self, x: Tensor) -> Tensor:
        """The coordinates ``(B, D')`` in ``target`` of ``x: (B, D)``."""

    @property
    def nonfinite(self) -> int:
        return self.target.nonfinite

    def troubles(self) -> list[str]:
        return self.target.troubles()

    def _count(self, particles: int) -> None:
        self.calls += particles

    def _is_sound(self, total: Tensor) -> bool:
        return False  # ``target`` has asked the device already

    def _note(self, x: Tensor, value: Tensor, is_score_finite: Tensor) -> None:
        """Nothing: ``target`` has."""

    def recheck(self, x: Tensor) -> bool:
        return self.target.recheck(self.inside(x))

    def quicken(self, seconds: float) -> bool:
        return self.target.quicken(seconds)

    def constrain(self, x: Tensor) -> Sites:
        return self.target.constrain(self.inside(x))
