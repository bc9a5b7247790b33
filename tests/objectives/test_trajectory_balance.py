"""Trajectory balance learns log Z: from the batch's median, towards the mean."""

import pytest
import torch

from amortized.objectives import TrajectoryBalance
from amortized.path import Path


def weighing(log_weights: list[float]) -> Path:
    """One step, one dimension; everything zero but the target."""
    count = len(log_weights)
    zero = torch.zeros(1, count)
    log_target = torch.tensor(log_weights).double()
    return Path(torch.zeros(2, count, 1), log_target, log_prior=zero[0], log_forward=zero, log_backward=zero)


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
