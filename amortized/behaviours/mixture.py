"""Several behaviours in one batch."""

from __future__ import annotations

import torch

from amortized._types import Generator
from amortized.behaviours.base import Behaviour
from amortized.path import Path
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.targets.base import Target


class Mixture(Behaviour):
    """Splits every batch between behaviours, so that a batch statistic such as VarGrad's mean compares all of them.

    >>> from amortized.behaviours.on_policy import OnPolicy
    >>> Mixture(OnPolicy(), OnPolicy(), shares=(0.25, 0.75)).split(8)
    [2, 6]
    """

    def __init__(self, *behaviours: Behaviour, shares: tuple[float, ...] | None = None):
        if shares is not None and (len(shares) != len(behaviours) or min(shares) <= 0):
            raise ValueError(f"shares={shares}: write one positive share for each of the {len(behaviours)} behaviours")
        self.behaviours = behaviours
        self.shares = shares or (1.0,) * len(behaviours)
        self.on_policy = all(behaviour.on_policy for behaviour in behaviours)

    def split(self, batch: int) -> list[int]:
        """How many of ``batch`` paths each behaviour proposes; the last takes the rest."""
        counts = [int(batch * share / sum(self.shares)) for share in self.shares[:-1]]
        return [*counts, batch - sum(counts)]

    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> Path:
        counts = zip(self.behaviours, self.split(batch), strict=True)
        paths = [behaviour.propose(process, policy, target, count, generator) for behaviour, count in counts if count]
        scores = [path.scores for path in paths if path.scores is not None]
        return Path(
            states=torch.cat([path.states for path in paths], 1),
            log_target=torch.cat([path.log_target for path in paths]),
            scores=torch.cat(scores, 1) if scores else None,
        )

    def observe(self, path: Path) -> None:
        for behaviour in self.behaviours:
            behaviour.observe(path)
