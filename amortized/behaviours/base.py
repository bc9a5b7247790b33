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
    """Proposes paths for an objective to train on, and may learn from them."""

    on_policy: bool = False
    """Its paths are fair, uninflated draws of the policy itself."""

    @abstractmethod
    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> States:
        """``batch`` paths: their states, ``log R`` at their ends, and scores if the policy needs them.

        Args:
            process: the steps.
            policy: steers them.
            target: of D variables; row i belongs to context ``i mod M``.
            batch: B, a multiple of M.
            generator: of all draws.
        """

    def fresh(self, batch: int) -> Tensor:
        """Which of the last ``batch`` paths were simulated: ``(batch,)`` bool; by default all.

        The ends of the others came out of a buffer, or were drawn by weight. A replay does not remember them again.
        """
        return torch.ones(batch, dtype=torch.bool)

    def observe(self, path: ScoredPath, fresh: Tensor | None = None) -> None:  # noqa: B027
        """See the scored path that a step trained on; nothing by default.

        Args:
            path: B paths.
            fresh: ``(B,)`` marks the simulated ones; None if this behaviour itself proposed the path.
        """
