"""Trajectory balance learns log Z: from the batch's median, towards the mean."""

import pytest
import torch

from amortized.objectives import TrajectoryBalance
from amortized.path import ScoredPath
from tests.known import SameFeatures


def weighing(log_weights: list[float], contexts: int = 1) -> ScoredPath:
    """One step, one dimension; everything zero but the target; path i belongs to context ``[i mod contexts]``."""
    count = len(log_weights)
    zero = torch.zeros(1, count)
    log_target = torch.tensor(log_weights).double()
    context = torch.arange(float(contexts))[:, None] if contexts > 1 else None
    return ScoredPath(
        torch.zeros(2, count, 1),
        log_target,
        context=context,
        log_prior=zero[0],
        log_forward=zero,
        log_backward=zero,
        times=torch.zeros(1),
        features=zero[..., None],
        marginal=lambda: zero,
    )


@pytest.mark.parametrize(
    ("log_weights", "median"), [([1.0, 2.0, 90.0], 2.0), ([4.0, -torch.inf, 1.0, 2.0, torch.nan], 2.0)]
)
def test_log_z_starts_at_the_median_of_the_first_batch(log_weights, median):
    objective = TrajectoryBalance()
    objective.initialise(weighing(log_weights))
    assert objective.log_partition.item() == median
    assert objective.log_partition.requires_grad


def test_the_loss_is_the_squared_distance_to_log_z_and_linear_far_off():
    objective = TrajectoryBalance(delta=10.0)
    with torch.no_grad():
        objective.log_partition.fill_(1.0)
    assert objective(weighing([1.0, 4.0, 21.0])).tolist() == [0.0, 9.0, 300.0]


def test_log_z_learns_the_mean_log_weight():
    objective = TrajectoryBalance()
    optimizer = torch.optim.SGD(objective.parameters(), lr=0.25)
    for _ in range(60):
        optimizer.zero_grad()
        objective(weighing([1.0, 2.0, 6.0])).mean().backward()
        optimizer.step()
    assert objective.log_partition.item() == pytest.approx(3.0, abs=1e-6)


def test_each_context_has_a_log_z_of_its_own():
    """Three of them, log Z = 1, 4, 9 beside a shared one: a linear map of two features fits three numbers."""

    class Squares(SameFeatures):
        def forward(self, context):
            return torch.cat([context, context.square()], 1)

    objective = TrajectoryBalance()
    objective.on_contexts(Squares(2))
    path = weighing([1.0, 4.0, 9.0] * 3, contexts=3)
    assert (objective.log_partitions(path) == 0).all() and objective.log_partitions(path).shape == (9,)
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.1)
    for _ in range(1_000):
        optimizer.zero_grad()
        objective(path).mean().backward()
        optimizer.step()
    expected = torch.tensor([1.0, 4.0, 9.0] * 3, dtype=torch.float64)
    torch.testing.assert_close(objective.log_partitions(path), expected, atol=0.05, rtol=0)


def test_the_head_reads_its_own_copy_of_the_embedding():
    embedding = torch.nn.Linear(1, 4)
    embedding.size = 4
    objective = TrajectoryBalance()
    objective.on_contexts(embedding)
    objective(weighing([1.0, 2.0], contexts=2)).sum().backward()
    assert embedding.weight.grad is None
    head = objective.log_partition_of_context[1]
    assert head.weight.grad.abs().max() > 0 and objective.log_partition.grad.abs() > 0


def test_without_contexts_there_is_one_log_z():
    objective = TrajectoryBalance()
    assert objective.log_partitions(weighing([1.0, 2.0], contexts=2)) is objective.log_partition
    objective.on_contexts(SameFeatures(1))
    assert objective.log_partitions(weighing([1.0, 2.0])) is objective.log_partition
