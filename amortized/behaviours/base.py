"""The contract of a behaviour: where training paths come from."""

from __future__ import annotations

from abc import ABC, abstractmethod

from amortized._types import Generator
from amortized.path import Path
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.targets.base import Target


class Behaviour(ABC):
    """Proposes paths for an objective to score, and may learn from what came of them.

    ``on_policy`` says that its paths are fair, uninflated draws of the policy itself.
    """

    on_policy: bool = False

    @abstractmethod
    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> Path:
        """``batch`` paths: their states, ``log R`` at their ends and, where the policy needs them, their scores."""

    def observe(self, path: Path) -> None:  # noqa: B027
        """See the scored path that a step trained on; nothing by default."""
