"""Paths noised back from the policy's own draws, which are resampled by their weights."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor, rows_per_context
from amortized.behaviours.base import Behaviour
from amortized.path import States
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.simulation import reverse_rollout, rollout
from amortized.targets.base import Target
from amortized.weights import systematic_by_context


class Sleep(Behaviour):
    """Simulates the policy, resamples the ends by their weights, and noises them back: draws ≈ target, no memory.

    Under ``MaximumLikelihood`` the gradient is that of ``KL(target paths ‖ policy)``, with self-normalised weights and
    so a bias of O(1 / effective sample size). Reweighted wake-sleep, arXiv 1406.2751.

    Args:
        dreams: simulated paths for each one that is noised back; more lower the bias.

    Raises:
        ValueError: in ``propose``, if every simulated end has density zero.
    """

    def __init__(self, dreams: int = 1):
        if dreams < 1:
            raise ValueError(f"dreams={dreams}: write how many paths to simulate for each one to train on, dreams=1")
        self.dreams = dreams

    def propose(
        self, process: Process, policy: Policy, target: Target, batch: int, generator: Generator | None = None
    ) -> States:
        with torch.no_grad():
            dreams = rollout(process, policy, target, self.dreams * batch, generator)
        log_weight = torch.where(dreams.log_weight.isnan(), -torch.inf, dreams.log_weight)
        rows = systematic_by_context(dreams.by_context(log_weight), rows_per_context(batch, target.contexts), generator)
        return reverse_rollout(process, policy, target, dreams.ends[rows], dreams.log_target[rows], generator)

    def fresh(self, batch: int) -> Tensor:
        return torch.zeros(batch, dtype=torch.bool)
