"""Several behaviours in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

import torch

from amortized._types import Generator, Tensor
from amortized.behaviours.base import Behaviour
from amortized.path import Path
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.targets.base import Target

SHARED = ("times", "dim", "marginal", "context", "numbers")


def join(paths: Sequence[Path]) -> Path:
    """One record of all the paths, in order; what one of them lacks the whole lacks. They share times and contexts;
    what the reference says of their states is to be asked anew."""
    joined = {}
    for name in [field.name for field in fields(Path) if field.name not in SHARED]:
        parts = [getattr(path, name) for path in paths]
        along = 0 if parts[0] is None or parts[0].ndim == 1 else 1
        joined[name] = None if any(part is None for part in parts) else torch.cat(parts, along)
    return replace(paths[0], marginal=None, **joined)


class Mixture(Behaviour):
    """Splits every batch between behaviours, so that a batch statistic such as VarGrad's mean compares all of them.

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
        """How many of ``batch`` paths each behaviour proposes, as many for every context; the last takes the rest."""
        each = batch // self.contexts
        counts = [self.contexts * int(each * share / sum(self.shares)) for share in self.shares[:-1]]
        return [*counts, batch - sum(counts)]

    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> Path:
        self.contexts = target.contexts
        counts = zip(self.behaviours, self.split(batch), strict=True)
        return join([part.propose(process, policy, target, count, generator) for part, count in counts if count])

    def fresh(self, batch: int) -> Tensor:
        counts = zip(self.behaviours, self.split(batch), strict=True)
        return torch.cat([behaviour.fresh(count) for behaviour, count in counts])

    def observe(self, path: Path, fresh: Tensor | None = None) -> None:
        fresh = self.fresh(len(path.ends)) if fresh is None else fresh
        for behaviour in self.behaviours:
            behaviour.observe(path, fresh)
