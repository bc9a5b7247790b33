"""Replay whose buffer is improved by a search in the target's space."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor, for_rows, renamed, whole_rounds
from amortized.behaviours.base import Behaviour
from amortized.behaviours.replay import Replay
from amortized.behaviours.searches.base import Search
from amortized.behaviours.searches.mala import MALASearch
from amortized.path import ScoredPath, States
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.targets.base import Target


class LocalSearch(Behaviour):
    """Local search in the target's space: chains from replayed ends fill the buffer with better ones.

    arXiv 2402.05098, section 4.2, with ``MALASearch(steps=200, burn_in=100)``.

    Args:
        replay: proposes the paths, and owns the buffer.
        search: 50 adapted MALA moves if None.
        every: proposals between two searches.
        chains: B, ends that a search starts from, rounded to a multiple of the contexts.
    """

    def __init__(self, replay: Replay, search: Search | None = None, every: int = 100, chains: int = 256):
        if every < 1 or chains < 1:
            raise ValueError(f"every={every}, chains={chains}: both count from one; write every=100, chains=256")
        self.replay = replay
        self.search = MALASearch() if search is None else search
        self.every = every
        self.chains = chains
        self.acceptance_rate = float("nan")
        self.proposals = 0

    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> States:
        if self.proposals % self.every == 0 and (len(self.replay.buffer) > 0 or not self.search.needs_starts):
            self.refresh(target, generator)
        self.proposals += 1
        return self.replay.propose(process, policy, target, batch, generator)

    def refresh(self, target: Target, generator: Generator | None = None) -> None:
        """Run one search, and add its ends to the buffer, each to its own context."""
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
        self.acceptance_rate = found.acceptance_rate
        indices = None
        if target.indices is not None and found.starts is not None:
            indices = for_rows(target.indices, chains)[found.starts]
        self.replay.buffer.add(found.ends, found.log_target, indices=indices)

    @property
    def acceptance(self) -> float:
        """The former name of ``acceptance_rate``, that of the last search."""
        return renamed("LocalSearch.acceptance", "acceptance_rate", self.acceptance_rate)

    def fresh(self, batch: int) -> Tensor:
        return self.replay.fresh(batch)

    def observe(self, path: ScoredPath, fresh: Tensor | None = None) -> None:
        self.replay.observe(path, fresh)
