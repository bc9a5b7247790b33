"""Sub-trajectory balance is the weighted mean over all parts of a path, between detailed and trajectory balance."""

from dataclasses import replace

import pytest
import torch

from amortized.objectives import DetailedBalance, SubTrajectoryBalance, TrajectoryBalance
from amortized.objectives.base import PartitionObjective
from tests.known import perturbed
from tests.objectives.test_detailed_balance import strayed


@pytest.mark.parametrize("decay", [0.3, 0.9, 1.0, 2.0])
def test_the_loss_is_the_weighted_mean_over_all_parts(decay, in_double_precision):
    path = strayed()
    objective = perturbed(SubTrajectoryBalance(2, decay=decay, delta=1e6), 0.2)
    potential = objective.flow(path, objective.log_partition)
    pairs = [(i, j) for j in range(5) for i in range(j)]
    weights = [decay ** (j - i) for i, j in pairs]
    squares = [(potential[i] - potential[j]).square() * w for (i, j), w in zip(pairs, weights, strict=True)]
    torch.testing.assert_close(objective(path), torch.stack(squares).sum(0) / sum(weights))


LIMITS = [(1e-9, DetailedBalance(2, delta=1e6)), (1e9, TrajectoryBalance(delta=1e6))]


@pytest.mark.parametrize(("decay", "limit"), LIMITS)
def test_its_limits_are_detailed_and_trajectory_balance(decay, limit: PartitionObjective):
    path = strayed()
    objective = SubTrajectoryBalance(2, decay=decay, delta=1e6)
    torch.testing.assert_close(objective(path), limit(path), rtol=1e-5, atol=1e-5)


def test_far_off_the_root_counts_linearly(in_double_precision):
    path = strayed()
    squared, robust = SubTrajectoryBalance(2, delta=1e6)(path), SubTrajectoryBalance(2, delta=0.5)(path)
    expected = torch.where(squared <= 0.25, squared, squared.sqrt() - 0.25)
    assert (squared > 0.25).any()
    torch.testing.assert_close(robust, expected)


def test_a_large_constant_costs_no_precision():
    """Potentials near 1e6 that differ by nats: squares would keep three digits, centred they keep nine."""
    path = strayed()
    objective = SubTrajectoryBalance(2)
    near = objective(path)
    with torch.no_grad():
        objective.log_partition += 1e6
    moved = replace(path, log_target=path.log_target + 1e6)
    torch.testing.assert_close(objective(moved), near, rtol=1e-6, atol=1e-6)


def test_a_decay_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match=r"write decay=0.9"):
        SubTrajectoryBalance(2, decay=0.0)
