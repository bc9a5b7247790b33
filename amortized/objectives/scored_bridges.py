"""Maximum likelihood of noised draws whose scores are known: the same loss in expectation, with far less noise."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.path import kernel
from amortized.policies.base import Policy
from amortized.processes.linear import LinearProcess
from amortized.processes.transitions import Gaussian
from amortized.targets.base import Target

FORGETTING = 0.98
"""Averages of 50 batches, about 400 draws for each of 64 steps: a coefficient is then known to about .05."""


class ScoredBridges:
    """`bridge_regression` with the draws' own scores as a control variate; the density is not asked again.

    The mean of a step regresses on the end ``x_K`` given ``x_k = c x_K + n ε``. The target score identity gives a
    number of mean zero given ``x_k``, if ``x_K`` follows the target R:

        z = c n ε + n² ∇ log R(x_K),    E[z | x_k] = 0          (`LinearProcess.bridge_control`)

    So the mean may regress on ``x_K + α_k z`` for any ``α_k``. The best α_k minimises the variance of the residual. It
    is a ratio of two running averages, for each step and coordinate. For R = N(0, I) and a process of constant variance
    α = 1 leaves no noise at all; where scores have heavy tails α falls to 0. The variance of a step still learns from
    ``x_K`` itself. De Bortoli et al. (2024), target score matching, arXiv 2402.08667.

    Args:
        process: its bridges are known in closed form, and its transition is Gaussian.
        policy: gets the gradients. If it needs the target's score, each call costs one evaluation a row.
        target: of D variables.

    Raises:
        ValueError: the transition is not Gaussian, or the noising is learned.

    >>> from amortized.policies import LangevinMLP
    >>> from amortized.processes import OrnsteinUhlenbeck
    >>> from amortized.targets.callable import DensityTarget
    >>> normal = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=2)
    >>> bridges = ScoredBridges(OrnsteinUhlenbeck(8), LangevinMLP(2), normal)
    >>> ends = torch.randn(64, 2)
    >>> bridges(ends, -ends).shape, normal.calls
    (torch.Size([64]), 0)
    """

    def __init__(self, process: LinearProcess, policy: Policy, target: Target):
        if not isinstance(process.transition, Gaussian) or process.noising is not None:
            raise ValueError(
                "bridges with scores need a Gaussian transition and a fixed noising: write "
                "GFlowNet(dim), without transition= and learned_noising="
            )
        self.process = process
        self.policy = policy
        self.target = target
        self._products = process.times.new_zeros(process.steps, target.dim)
        self._squares = torch.full_like(self._products, torch.finfo(torch.float64).tiny)

    @property
    def coefficients(self) -> Tensor:
        """α of each step and coordinate, ``(K, D)``; 0 until the first batch was seen."""
        return (-self._products / self._squares).clamp(min=0.0)

    def __call__(self, ends: Tensor, scores: Tensor, generator: Generator | None = None, learn: bool = True) -> Tensor:
        """``K · E[−log P_F(x_{k+1} | x_k)]`` per row up to a constant, at one random step of each bridge: ``(B,)``.

        Args:
            ends: draws of the target, ``(B, D)``.
            scores: ``∇ log R`` there, ``(B, D)``.
            generator: of all draws.
            learn: updates the coefficients after this batch, so that they never depend on the batch that they serve.
        """
        process = self.process
        k = torch.randint(process.steps, ends.shape[:1], generator=generator, device=ends.device)
        x = process.noised(k, ends, generator)
        score = self.target.log_prob_and_score(x)[1] if self.policy.needs_score else None
        mean, std = kernel(process, self.policy, k, x, score)
        bridge_mean, bridge_variance = process.bridge_forward(k, x, ends)
        control = process.bridge_control(k, x, ends, scores)
        residual = bridge_mean - mean
        quiet = residual + self.coefficients[k].to(ends.dtype) * control
        if learn:
            weight = std.detach().double() ** -2  # as in the loss, whose gradient's variance the coefficients minimise
            self._average(self._products, k, weight * residual.detach() * control)
            self._average(self._squares, k, weight * control.square())
        # the value is that of the plain residual, and the mean's gradient that of the quiet one
        square = quiet.square() + (residual.square() - quiet.square()).detach()
        return process.steps * (0.5 * (square + bridge_variance) / std.square() + std.log()).sum(-1)

    @staticmethod
    def _average(average: Tensor, k: Tensor, values: Tensor) -> None:
        average.mul_(FORGETTING).index_add_(0, k, values.double())
