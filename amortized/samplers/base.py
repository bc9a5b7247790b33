"""A diffusion sampler: a process and the policy that steers it."""

from __future__ import annotations

import torch
from torch import nn

from amortized._types import Generator, Tensor, whole_rounds
from amortized.path import paths_at_once
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.simulation import rollout
from amortized.targets.base import Target


class DiffusionSampler(nn.Module):
    """Draws from a target by simulating a policy along a process; presets only name the parts.

    Args:
        process: the steps.
        policy: steers them.

    >>> from amortized.policies import LangevinMLP
    >>> from amortized.processes import OrnsteinUhlenbeck
    >>> from amortized.targets.callable import DensityTarget
    >>> sampler = DiffusionSampler(OrnsteinUhlenbeck(steps=8), LangevinMLP(dim=2))
    >>> normal = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=2)
    >>> ends, log_weights = sampler.sample(normal, 5)
    >>> ends.shape, log_weights.shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(self, process: Process, policy: Policy):
        super().__init__()
        self.process = process
        self.policy = policy

    @torch.no_grad()
    def sample(
        self, target: Target, count: int, generator: Generator | None = None, chunk: int = 4096
    ) -> tuple[Tensor, Tensor]:
        """Simulate ``count`` fair paths.

        Args:
            target: of D variables and M contexts; row i belongs to context ``i mod M``.
            count: a multiple of M.
            generator: of all draws.
            chunk: paths at a time; fewer if their states would need more than 200 megabytes.

        Returns:
            Ends ``(count, D)`` and log weights ``(count,)`` in nats.
        """
        chunk = min(chunk, paths_at_once(self.process, target.dim))
        chunk = whole_rounds(chunk, target.contexts)
        ends, log_weights = [], []
        for start in range(0, count, chunk):
            path = rollout(self.process, self.policy, target, min(chunk, count - start), generator)
            ends.append(path.ends)
            log_weights.append(path.log_weight)
        return torch.cat(ends), torch.cat(log_weights)
