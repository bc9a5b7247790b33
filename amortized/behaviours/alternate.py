"""Several behaviours in turn, a batch each."""

from __future__ import annotations

from amortized._types import Generator, Tensor
from amortized.behaviours.base import Behaviour
from amortized.path import ScoredPath, States
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.targets.base import Target


class Alternate(Behaviour):
    """Gives each batch to the next behaviour in turn, as arXiv 2402.05098 alternates exploration and replay.

    In ``Alternate(Exploration(), LocalSearch(Replay(buffer)))`` the buffer may be empty: the first batch fills it.
    """

    def __init__(self, *behaviours: Behaviour):
        if not behaviours:
            raise ValueError("behaviours=(): no one's turn; write Alternate(OnPolicy(), Replay(buffer))")
        self.behaviours = behaviours
        self.on_policy = all(behaviour.on_policy for behaviour in behaviours)
        self.proposals = 0

    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> States:
        behaviour = self.behaviours[self.proposals % len(self.behaviours)]
        self.proposals += 1
        return behaviour.propose(process, policy, target, batch, generator)

    def fresh(self, batch: int) -> Tensor:
        return self.behaviours[(self.proposals - 1) % len(self.behaviours)].fresh(batch)

    def observe(self, path: ScoredPath, fresh: Tensor | None = None) -> None:
        fresh = self.fresh(len(path.ends)) if fresh is None else fresh
        for behaviour in self.behaviours:
            behaviour.observe(path, fresh)
