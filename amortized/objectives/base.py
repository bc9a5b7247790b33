"""The contract of an objective: a loss per path."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, cast

import torch
from torch import nn

from amortized._types import Tensor, for_rows
from amortized.path import ScoredPath


class Objective(nn.Module, ABC):
    """``(ScoredPath) -> (B,)``: a loss for every scored path, in nats or squared nats.

    An objective owns what it learns beside the policy: a flow, and ``log_partition``, its log Z. A path without finite
    weight has loss and gradient 0. Class attributes declare what an objective needs and what it cannot promise;
    ``check_pair`` and the contract tests read them.
    """

    on_policy_only: bool = False
    """The loss is unbiased only on uninflated paths that the policy itself simulated."""
    differentiates_rollout: bool = False
    """Gradients go through the simulation."""
    needs_draws: bool = False
    """The loss does not read the target: paths must be noised back from draws of it."""
    needs_log_targets: bool = False
    """The loss reads ``log R`` at every state that a step starts from."""
    zero_at_optimum: bool = True
    """At the optimum every path has loss 0. False: a bound, −log Z there, or with ``needs_draws`` a likelihood."""
    still_at_optimum: bool = True
    """At the optimum the gradient of every batch is 0. False: only its mean is."""
    gradient_is_slope: bool = True
    """The gradient of a batch is the slope of its loss. False: only on average over batches."""
    learning_rate: float = 1e-2
    """Adam's, for all that the objective learns but log Z."""
    partition_rate: float = 1.0
    """Adam's for log Z, in nats a step: log Z must keep up with the weights, and a slow one holds the policy back."""

    @abstractmethod
    def forward(self, path: ScoredPath) -> Tensor:
        """The loss ``(B,)`` of a scored path."""

    def on_contexts(self, embedding: nn.Module) -> None:  # noqa: B027
        """Let what is learned depend on the context, as ``embedding`` reads it; nothing by default."""

    def initialise(self, path: ScoredPath) -> None:  # noqa: B027
        """Set what the objective learns from a first scored path; nothing by default."""


class PartitionObjective(Objective):
    """An objective that learns ``log_partition``, log Z in nats, from the first batch's median log weight on.

    Over contexts, ``log Z(c) = log_partition + f(c)`` with a linear ``f`` of what an embedding reads, zero at first.
    """

    def __init__(self, partition_rate: float = 1.0):
        super().__init__()
        self.partition_rate = partition_rate
        self.log_partition = nn.Parameter(torch.zeros((), dtype=torch.float64))
        self.log_partition_of_context: nn.Module | None = None

    def on_contexts(self, embedding: nn.Module) -> None:
        self.log_partition_of_context = zero_head(copy.deepcopy(embedding), 1)

    def log_partitions(self, path: ScoredPath) -> Tensor:
        """log Z for every path: ``(B,)``, or a scalar where all share it."""
        if path.context is None or self.log_partition_of_context is None:
            return self.log_partition
        each = self.log_partition + self.log_partition_of_context(path.context)[:, 0].double()
        return for_rows(each, len(path.log_target))

    def initialise(self, path: ScoredPath) -> None:
        median = finite_or_nan(path.log_weight).nanmedian()
        if median.isfinite():
            with torch.no_grad():
                self.log_partition.copy_(median)


def zero_head(embedding: nn.Module, size: int) -> nn.Module:
    """An embedding followed by a linear map to ``size`` numbers, which is zero at first."""
    head = nn.Linear(int(cast(Any, embedding).size), size)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return nn.Sequential(embedding, head)


def finite_or_nan(log_weight: Tensor) -> Tensor:
    """Log weights with NaN for paths outside the target's support, so that batch statistics can leave them out."""
    return torch.where(log_weight.isfinite(), log_weight, torch.nan)


def huber(residual: Tensor, delta: float) -> Tensor:
    """``r²`` up to ``delta`` nats, then linear: no stray path owns the step. A NaN residual has loss and gradient 0."""
    residual = torch.where(residual.isnan(), 0.0, residual)
    return 2.0 * nn.functional.huber_loss(residual, torch.zeros_like(residual), reduction="none", delta=delta)
