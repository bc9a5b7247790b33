"""A training loop as published scripts write it: K steps one after the other, scored and differentiated on the way.

It has the library's network and the library's reference, a Brownian motion from 0, so that `speed.py` compares two ways
to run the same arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from amortized.policies import LangevinMLP
from amortized.policies.embeddings import CosineTime

LEARNING_RATE, PARTITION_RATE = 1e-3, 1e-1
"""Of the network and of log Z, the defaults of published scripts."""
DECAY = 0.9
"""λ of sub-trajectory balance, the library's default."""
CLIP = 100.0
"""Bound of each element of a score, as published."""


@dataclass
class Trajectory:
    """Densities of B paths: ``(B, K)`` each, the flows ``(B, K)``, and the ends ``(B, D)`` with ``log R: (B,)``."""

    log_forward: Tensor
    log_backward: Tensor
    log_flow: Tensor
    ends: Tensor
    log_target: Tensor

    @property
    def log_weight(self) -> Tensor:
        return self.log_target + (self.log_backward - self.log_forward).sum(-1)


class Flow(nn.Module):
    """``log F(x, t)`` less the target's share: a perceptron of two hidden layers."""

    def __init__(self, dim: int, width: int = 64):
        super().__init__()
        self.time = CosineTime()
        self.read_time = nn.Linear(self.time.frequencies.numel(), width)
        self.read_state = nn.Linear(dim, width)
        self.layers = nn.Sequential(
            nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 1)
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return self.layers(self.read_state(x) + self.read_time(self.time(t)))[..., 0]


class StepByStep:
    """A sampler and its training; a call of ``step`` is a gradient step.

    Args:
        policy: the network.
        log_density: ``(B, D) -> (B,)``.
        dim: D.
        steps: K.
        scale: std of the reference at the end.
        method: ``tb``, ``vargrad``, ``tb-lp``, ``fl-subtb`` or ``tb-replay``.
    """

    def __init__(
        self,
        policy: LangevinMLP,
        log_density: Callable[[Tensor], Tensor],
        dim: int,
        steps: int,
        scale: float,
        method: str,
    ):
        self.policy, self.log_density = policy, log_density
        self.dim, self.steps, self.scale, self.method = dim, steps, scale, method
        self.flow = Flow(dim) if method == "fl-subtb" else None
        self.log_partition = nn.Parameter(torch.zeros(()))
        networks = [*policy.parameters(), *(self.flow.parameters() if self.flow else ())]
        groups = [{"params": networks}, {"params": [self.log_partition], "lr": PARTITION_RATE}]
        self.optimizer = torch.optim.Adam(groups, LEARNING_RATE)
        self.buffer: list[Tensor] = []
        self.made = 0
        place = torch.arange(steps + 1.0)
        apart = place - place[:, None]
        self.weights = torch.where(apart > 0, DECAY**apart, 0.0)

    def kernel(self, x: Tensor, k: int) -> tuple[Tensor, Tensor]:
        """Mean ``(B, D)`` of the forward step k and ``log F_k(x): (B,)``."""
        t = torch.full((1,), k / self.steps)
        score = None
        if self.policy.needs_score:
            with torch.enable_grad():
                here = x.detach().requires_grad_()
                (score,) = torch.autograd.grad(self.log_density(here).sum(), here)
            score = score.nan_to_num().clamp(-CLIP, CLIP)
        shift = self.policy(x, t, score).shift
        flow = x.new_zeros(len(x))
        if self.flow is not None:
            log_marginal = normal(x, torch.zeros_like(x), self.scale**2 * max(1, k) / self.steps)
            with torch.no_grad():
                log_target = self.log_density(x)
            flow = self.flow(x, t) + (1 - t) * log_marginal + t * log_target
        return x + shift / self.steps, flow

    def forward_path(self, batch: int) -> Trajectory:
        """Simulate; every step is scored as it is made."""
        x = torch.zeros(batch, self.dim)
        log_forward, log_backward, flows = ([] for _ in range(3))
        variance = self.scale**2 / self.steps
        for k in range(self.steps):
            mean, flow = self.kernel(x, k)
            y = mean.detach() + math.sqrt(variance) * torch.randn_like(x)
            log_forward.append(normal(y, mean, variance))
            log_backward.append(self.log_bridge(x, y, k))
            flows.append(flow)
            x = y
        return self.trajectory(log_forward, log_backward, flows, x)

    def backward_path(self, ends: Tensor) -> Trajectory:
        """Noise known ends back to 0; every step is scored as it is made."""
        y = ends
        log_forward, log_backward, flows = ([] for _ in range(3))
        for k in reversed(range(self.steps)):
            x = y * k / (k + 1) + self.scale * math.sqrt(k / (k + 1) / self.steps) * torch.randn_like(y)
            mean, flow = self.kernel(x, k)
            log_forward.append(normal(y, mean, self.scale**2 / self.steps))
            log_backward.append(self.log_bridge(x, y, k))
            flows.append(flow)
            y = x
        return self.trajectory(log_forward[::-1], log_backward[::-1], flows[::-1], ends)

    def log_bridge(self, x: Tensor, y: Tensor, k: int) -> Tensor:
        """Log density of the step back from y to x; the last one is certain."""
        if k == 0:
            return x.new_zeros(len(x))
        return normal(x, y * k / (k + 1), self.scale**2 * k / (k + 1) / self.steps)

    def trajectory(
        self, log_forward: list[Tensor], log_backward: list[Tensor], flows: list[Tensor], ends: Tensor
    ) -> Trajectory:
        with torch.no_grad():
            log_target = self.log_density(ends)
        forward, backward, flow = (torch.stack(values, -1) for values in (log_forward, log_backward, flows))
        return Trajectory(forward, backward, flow, ends, log_target)

    def loss(self, path: Trajectory) -> Tensor:
        if self.flow is None:
            centre = path.log_weight.mean() if self.method == "vargrad" else self.log_partition
            return (path.log_weight - centre).square().mean()
        first = self.log_partition.expand(len(path.ends), 1)
        log_flow = torch.cat([first, path.log_flow[:, 1:], path.log_target[:, None]], -1)
        carried = (path.log_forward - path.log_backward).cumsum(-1)
        potential = log_flow - torch.cat([torch.zeros_like(first), carried], -1)
        apart = (potential[:, :, None] - potential[:, None, :]).square()
        return (apart * self.weights).sum((1, 2)).mean() / self.weights.sum()

    def step(self, batch: int) -> None:
        """One gradient step; every second one is replayed where the method replays."""
        replays = self.method == "tb-replay" and self.made % 2 == 1
        path = self.backward_path(self.replayed(batch)) if replays else self.forward_path(batch)
        if self.method == "tb-replay" and not replays:
            self.buffer.append(path.ends)
        self.made += 1
        self.optimizer.zero_grad()
        self.loss(path).backward()
        self.optimizer.step()

    def replayed(self, batch: int) -> Tensor:
        """Ends of the buffer, by the rank of their density."""
        ends = torch.cat(self.buffer)
        ranks = self.log_density(ends).argsort(descending=True).argsort()
        return ends[torch.multinomial(1 / (0.01 * len(ends) + ranks), batch, replacement=True)]


def normal(x: Tensor, mean: Tensor, variance: float) -> Tensor:
    """``log N(x; mean, variance I): (B,)``."""
    return -0.5 * ((x - mean).square() / variance + math.log(2 * math.pi * variance)).sum(-1)
