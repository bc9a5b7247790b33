"""What a warm-up may spend: target calls and seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from amortized.targets.base import Target
from amortized.warmup.screening import Screening


class Budget:
    """Counts the calls and the seconds of a warm-up from its construction on, and prints its stages.

    ``free_calls`` are those that do not count: of chains, which the seconds limit where a call is cheap.

    Args:
        target: its calls count, one a particle.
        max_calls: most calls. The points of the ``screening`` are free: they need no gradient and have a limit of their
            own. The few scores that it takes are not free.
        max_seconds: most seconds of wall clock.
        screening: the search whose points are free.
        progress: whether ``say`` prints.
    """

    def __init__(
        self,
        target: Target,
        max_calls: float,
        max_seconds: float,
        screening: Screening,
        progress: bool = False,
    ):
        self.target, self.max_calls, self.max_seconds = target, max_calls, max_seconds
        self.screening, self.progress = screening, progress
        self.calls_before, self.began, self.free_calls = target.calls, time.perf_counter(), 0

    @property
    def calls(self) -> int:
        """Target calls so far."""
        return self.target.calls - self.calls_before

    @property
    def seconds(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self.began

    @property
    def spent(self) -> float:
        """The part of the budget that is spent: of calls or of seconds, whichever is larger."""
        return max(
            (self.calls - self.free_calls - self.screening.calls) / self.max_calls, self.seconds / self.max_seconds
        )

    def stop_after(self, share: float) -> Callable[[], bool]:
        """A function ``stop``. It says whether more than ``share`` of the budget is spent."""
        return lambda: self.spent > share

    def say(self, text: str) -> None:
        """Prints a stage, where progress is to be shown."""
        if self.progress:
            print(f"warm-up: {text} ({self.calls} calls, {self.seconds:.1f} s)")
