"""Balance over contexts: zero where each is solved, and gradients for what the contexts are read by."""

from __future__ import annotations

import pytest
import torch

from amortized._types import Control
from amortized.objectives import DetailedBalance, LogVariance, SubTrajectoryBalance, TrajectoryBalance
from amortized.path import log_probs, with_log_targets
from amortized.policies import Policy
from amortized.processes import OrnsteinUhlenbeck
from amortized.simulation import rollout
from amortized.targets.affine import WhitenedTarget
from tests.known import Located, SameFeatures, network, perturbed, seeded

PLACES = torch.tensor([[0.0, 0.0], [3.0, -1.0], [-20.0, 5.0]])
PROCESS = OrnsteinUhlenbeck(5)


class Sums(SameFeatures):
    """The one feature that log Z(c) = Σ c is linear in."""

    def forward(self, context):
        return context.sum(1, keepdim=True)


def objectives() -> list:
    return [
        TrajectoryBalance(),
        DetailedBalance(2, width=8),
        DetailedBalance(2, width=8, forward_looking=True),
        SubTrajectoryBalance(2, width=8),
        SubTrajectoryBalance(2, width=8, forward_looking=True),
    ]


every_objective = pytest.mark.parametrize("objective", objectives(), ids=lambda one: type(one).__name__)


def solved(dtype: torch.dtype = torch.float64) -> WhitenedTarget:
    """``e^Σc N(c, 1)`` seen where it is N(0, I), which a fresh policy on a stationary process draws exactly."""
    target = Located(PLACES.to(dtype))
    return WhitenedTarget(target, target.located, torch.eye(2).expand(3, 2, 2), dtype)


class NoControl(Policy):
    def forward(self, x, t, langevin=None, context=None) -> Control:
        return Control(torch.zeros_like(x), 0.0)


@every_objective
def test_losses_vanish_where_every_context_is_solved(objective, in_double_precision):
    objective.double().on_contexts(Sums(1))
    with torch.no_grad():
        objective.log_partition_of_context[1].weight.fill_(1.0)
    path = rollout(PROCESS, NoControl(), solved(), 12, seeded())
    path = with_log_targets(PROCESS, solved(), path)
    torch.testing.assert_close(objective.log_partitions(path), PLACES.sum(1).double().repeat(4))
    assert objective(path).max() < 1e-12
    assert LogVariance()(path).max() < 1e-12
    with torch.no_grad():
        objective.log_partition_of_context[1].weight.fill_(0.5)
    assert objective(path).view(4, 3).mean(0)[1:].min() > 1e-3


@every_objective
def test_every_weight_that_reads_a_context_gets_a_gradient(objective, in_double_precision):
    embedding = torch.nn.Linear(2, 4)
    embedding.size = 4
    objective.double().on_contexts(embedding)
    perturbed(objective, 0.1)
    target, policy = Located(PLACES.double() / 10), network(2, 0.1, embedding=SameFeatures(2))
    with torch.no_grad():
        path = with_log_targets(PROCESS, target, rollout(PROCESS, policy, target, 24, seeded()))
    objective(log_probs(PROCESS, policy, path)).mean().backward()
    for name, parameter in [*objective.named_parameters(), *policy.named_parameters()]:
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
