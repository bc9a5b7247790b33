"""Several behaviours in one batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields

import torch

from amortized._types import Generator, Tensor, renamed_member
from amortized.behaviours.base import Behaviour
from amortized.path import ScoredPath, States
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.targets.base import Target

SHARED = ("times", "dim", "marginal", "context", "indices", "steering", "process")
"""Fields of a path that are not rows of its batch."""


def concatenated(paths: Sequence[States]) -> States:
    """All paths in order: scored if all of them are, with scores of the target if all have them.

    Args:
        paths: of one process and one target, at least one.
    """
    scored = all(isinstance(path, ScoredPath) for path in paths)
    kind = ScoredPath if scored else States
    rows = {name: _rows([getattr(path, name) for path in paths]) for name in _names(kind) if name not in SHARED}
    shared = {name: getattr(paths[0], name) for name in _names(kind) if name in SHARED}
    shared["steering"] = paths[0].steering if len(paths) == 1 else None  # it knows the rows of its own simulation
    if scored:
        shared["marginal"] = lambda: torch.cat([path.log_marginal for path in paths if isinstance(path, ScoredPath)], 1)
    return kind(**rows, **shared)


def _names(kind: type[States]) -> list[str]:
    return [field.name for field in fields(kind)]


def _rows(parts: Sequence[Tensor | None]) -> Tensor | None:
    present = [part for part in parts if part is not None]
    return torch.cat(present, 0 if present[0].ndim == 1 else 1) if len(present) == len(parts) else None


class Mixture(Behaviour):
    """Splits every batch between behaviours, so that VarGrad's batch mean compares all of them.

    Args:
        behaviours: at least one.
        shares: positive, of each behaviour in a batch; None splits it evenly.

    >>> from amortized.behaviours.on_policy import OnPolicy
    >>> Mixture(OnPolicy(), OnPolicy(), shares=(0.25, 0.75)).split(8)
    [2, 6]
    """

    def __init__(self, *behaviours: Behaviour, shares: tuple[float, ...] | None = None):
        if not behaviours:
            raise ValueError("behaviours=(): nothing to mix; write Mixture(OnPolicy(), Replay(buffer))")
        if shares is not None and (len(shares) != len(behaviours) or min(shares) <= 0):
            raise ValueError(f"shares={shares}: write one positive share for each of the {len(behaviours)} behaviours")
        self.behaviours = behaviours
        self.shares = shares or (1.0,) * len(behaviours)
        self.on_policy = all(behaviour.on_policy for behaviour in behaviours)
        self.contexts = 1

    def split(self, batch: int) -> list[int]:
        """Paths of each behaviour in a batch, equally many for every context; the last behaviour takes the rest."""
        each = batch // self.contexts
        counts = [self.contexts * int(each * share / sum(self.shares)) for share in self.shares[:-1]]
        return [*counts, batch - sum(counts)]

    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> States:
        self.contexts = target.contexts
        counts = zip(self.behaviours, self.split(batch), strict=True)
        return concatenated(
            [part.propose(process, policy, target, count, generator) for part, count in counts if count]
        )

    def fresh(self, batch: int) -> Tensor:
        counts = zip(self.behaviours, self.split(batch), strict=True)
        return torch.cat([behaviour.fresh(count) for behaviour, count in counts])

    def observe(self, path: ScoredPath, fresh: Tensor | None = None) -> None:
        fresh = self.fresh(len(path.ends)) if fresh is None else fresh
        for behaviour in self.behaviours:
            behaviour.observe(path, fresh)


def __getattr__(name: str) -> Callable:
    return renamed_member(__name__, name, {"join": concatenated})
