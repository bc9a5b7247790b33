"""A diffusion sampler: a process and the policy that steers it."""

from __future__ import annotations

import torch
from torch import nn

from amortized._types import Generator
from amortized.path import Path, rollout
from amortized.policies.base import Policy
from amortized.processes.base import Process
from amortized.targets.base import Target


class DiffusionSampler(nn.Module):
    """Draws from a target by simulating a policy along a process; presets only name the parts.

    >>> from amortized.policies import LangevinMLP
    >>> from amortized.processes import OrnsteinUhlenbeck
    >>> from amortized.targets.density import DensityTarget
    >>> sampler = DiffusionSampler(OrnsteinUhlenbeck(steps=8), LangevinMLP(dim=2))
    >>> normal = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=2)
    >>> path = sampler.sample_paths(normal, 5)
    >>> path.ends.shape, path.log_weight.shape
    (torch.Size([5, 2]), torch.Size([5]))
    """

    def __init__(self, process: Process, policy: Policy):
        super().__init__()
        self.process = process
        self.policy = policy

    @torch.no_grad()
    def sample_paths(
        self, target: Target, count: int, generator: Generator | None = None, chunk: int = 4096
    ) -> Path:
        """``count`` fair, scored paths, simulated ``chunk`` at a time."""
        sizes = [min(chunk, count - start) for start in range(0, count, chunk)]
        return concatenate([rollout(self.process, self.policy, target, size, generator) for size in sizes])


def concatenate(paths: list[Path]) -> Path:
    """Scored paths of one process, side by side."""
    if len(paths) == 1:
        return paths[0]
    return Path(
        states=torch.cat([path.states for path in paths], 1),
        log_target=torch.cat([path.log_target for path in paths]),
        log_prior=torch.cat([path.log_prior for path in paths if path.log_prior is not None]),
        log_forward=torch.cat([path.log_forward for path in paths if path.log_forward is not None], 1),
        log_backward=torch.cat([path.log_backward for path in paths if path.log_backward is not None], 1),
    )
