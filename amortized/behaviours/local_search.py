"""Replay whose buffer is improved by a search in the target's space."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor, for_rows, whole_rounds
from amortized.behaviours.base import Behaviour
from amortized.behaviours.replay import Replay
from amortized.behaviours.searches.base import Search
from amortized.behaviours.searches.mala import MALASearch
from amortized.path import ScoredPath, States
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.targets.base import Target


class LocalSearch(Behaviour):
    """Every ``every`` proposals a search starts from ``chains`` ends that the replay draws, and fills its buffer.

    ``search`` is 50 adapted MALA moves if it is None. Local search in target space of arXiv 2402.05098, section 4.2,
    with ``MALASearch(steps=200, burn_in=100)``.
    """

    def __init__(self, replay: Replay, search: Search | None = None, every: int = 100, chains: int = 256):
        if every < 1 or chains < 1:
            raise ValueError(f"every={every}, chains={chains}: both count from one; write every=100, chains=256")
        self.replay = replay
        self.search = MALASearch() if search is None else search
        self.every = every
        self.chains = chains
        self.acceptance = float("nan")
        self.proposals = 0

    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> States:
        if self.proposals % self.every == 0 and (len(self.replay.buffer) > 0 or not self.search.needs_starts):
            self.refresh(target, generator)
        self.proposals += 1
        return self.replay.propose(process, policy, target, batch, generator)

    def refresh(self, target: Target, generator: Generator | None = None) -> None:
        """One search, whose finds join the buffer, each that of its own context."""
        chains = whole_rounds(self.chains, target.contexts)
        if self.search.needs_starts:
            starts, _ = self.replay.draw(target, chains, generator)
        else:
            starts = torch.zeros(chains, target.dim, dtype=target.dtype, device=target.device)
        found = self.search(target, starts, generator)
        if found.starts is None and target.contexts > 1:
            raise ValueError(
                f"{type(self.search).__name__} does not say which context its ends belong to; write search=MALASearch()"
            )
        self.acceptance = found.acceptance
        numbers = None
        if target.numbers is not None and found.starts is not None:
            numbers = for_rows(target.numbers, chains)[found.starts]
        self.replay.buffer.add(found.ends, found.log_target, numbers=numbers)

    def fresh(self, batch: int) -> Tensor:
        return self.replay.fresh(batch)

    def observe(self, path: ScoredPath, fresh: Tensor | None = None) -> None:
        self.replay.observe(path, fresh)
