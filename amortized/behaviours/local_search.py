"""Replay whose ends are improved by parallel Langevin chains in the target's space."""

from __future__ import annotations

import torch

from amortized._types import Generator
from amortized.behaviours.base import Behaviour
from amortized.behaviours.replay import Replay
from amortized.mcmc import mala
from amortized.path import Path
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.targets.base import Target


class LocalSearch(Behaviour):
    """Every ``every`` proposals, ``chains`` remembered ends make ``steps`` MALA moves and join the buffer.

    The step size, one per chain, is adapted to an acceptance of 0.574 and its median kept for the next search.
    Local search in target space of arXiv 2402.05098, section 4.2, with the chains' gradients reused.
    """

    def __init__(self, replay: Replay, every: int = 100, chains: int = 256, steps: int = 50, step_size: float = 0.01):
        self.replay = replay
        self.every = every
        self.chains = chains
        self.steps = steps
        self.step_size = step_size
        self.acceptance = float("nan")
        self.proposals = 0

    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> Path:
        if self.proposals % self.every == 0 and len(self.replay.buffer) > 0:
            self.search(target, generator)
        self.proposals += 1
        return self.replay.propose(process, policy, target, batch, generator)

    def search(self, target: Target, generator: Generator | None = None) -> None:
        """One round of chains from ends that the replay would draw."""
        buffer = self.replay.buffer
        state = mala.init(target.log_prob_and_score, buffer.ends[self.replay.rows(self.chains, generator)])
        step_size = torch.full((self.chains,), self.step_size, dtype=state.x.dtype, device=state.x.device)
        state, step_size, info = mala.run(target.log_prob_and_score, state, self.steps, step_size, generator)
        self.step_size = float(step_size.median())
        self.acceptance = float(info.acceptance.mean())
        buffer.add(state.x, state.log_prob)

    def observe(self, path: Path) -> None:
        self.replay.observe(path)
