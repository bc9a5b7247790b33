"""The contract of a behaviour: where training paths come from."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch

from amortized._types import Generator, Tensor
from amortized.path import ScoredPath, States
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
    ) -> States:
        """``batch`` paths: their states, ``log R`` at their ends and, where the policy needs them, their scores."""

    def fresh(self, batch: int) -> Tensor:
        """Which of the ``batch`` paths proposed last were simulated, not noised back: ``(batch,)`` bool; all of them.

        Ends of the others came out of a buffer, or were drawn by weight, and are not to be remembered again.
        """
        return torch.ones(batch, dtype=torch.bool)

    def observe(self, path: ScoredPath, fresh: Tensor | None = None) -> None:  # noqa: B027
        """See the scored path that a step trained on; nothing by default.

        ``fresh: (B,)`` marks the simulated rows; None means that this behaviour proposed the path and knows itself.
        """
