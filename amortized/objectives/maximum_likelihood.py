"""Maximum likelihood of noised draws: learning to reverse the noise."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.objectives.base import Objective
from amortized.path import ScoredPath, kernel, read
from amortized.policies.base import Policy
from amortized.processes.linear import LinearProcess
from amortized.processes.transitions import Gaussian, standard_normal
from amortized.targets.base import Target


class MaximumLikelihood(Objective):
    """``−Σ_k log P_F(x_{k+1} | x_k)`` on paths noised from draws of the target (the sleep phase of a GFlowNet)."""

    needs_draws = True
    zero_at_optimum = False
    still_at_optimum = False

    def forward(self, path: ScoredPath) -> Tensor:
        return -path.log_forward.sum(0)


def bridge_regression(
    process: LinearProcess, policy: Policy, target: Target, ends: Tensor, generator: Generator | None = None
) -> Tensor:
    """``K · E[−log P_F(x_{k+1} | x_k)]`` per row, at one random step of the bridge to each of ``ends: (B, D)``.

    It estimates the loss above up to a constant, from one call of the policy on B states. ``k`` and ``x_k`` are drawn.
    ``x_{k+1}`` is integrated out in closed form for a Gaussian transition, and drawn for any other.

    Args:
        process: its bridges are known in closed form.
        policy: needs the target only if it needs its score.
        target: of D variables.
        ends: ``(B, D)``, draws of the target.
        generator: of all draws.

    Returns:
        ``(B,)`` in nats.
    """
    k = torch.randint(process.steps, ends.shape[:1], generator=generator, device=ends.device)
    x = process.noised(k, ends, generator)
    score = target.log_prob_and_score(x)[1] if policy.needs_score else None
    mean, std = kernel(process, policy, k, x, score, read(policy, target.context, len(ends)))
    bridge_mean, bridge_variance = process.bridge_forward(k, x, ends)
    if not isinstance(process.transition, Gaussian):
        noise = standard_normal(ends, generator)
        drawn = bridge_mean + bridge_variance.clamp(min=0).sqrt() * noise
        return -process.steps * process.transition.log_prob(drawn, mean, std)
    mismatch = ((bridge_mean - mean).square() + bridge_variance) / std.square()
    return process.steps * (0.5 * mismatch + std.log()).sum(-1)
