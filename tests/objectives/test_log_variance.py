"""VarGrad is the variance of the log weight, and does not see log Z."""

import torch

from amortized.objectives import LogVariance
from tests.objectives.test_trajectory_balance import weighing


def test_the_mean_loss_is_the_variance():
    loss = LogVariance()(weighing([1.0, 2.0, 6.0]))
    torch.testing.assert_close(loss, torch.tensor([4.0, 1.0, 9.0], dtype=torch.float64))


def test_a_constant_changes_nothing():
    torch.testing.assert_close(LogVariance()(weighing([1.0, 2.0, 6.0])), LogVariance()(weighing([101.0, 102.0, 106.0])))


def test_far_paths_count_linearly():
    assert LogVariance(delta=1.0)(weighing([-50.0, 50.0])).tolist() == [99.0, 99.0]


def test_a_path_without_weight_is_left_out_of_the_mean():
    assert LogVariance()(weighing([1.0, 3.0, -torch.inf])).tolist() == [1.0, 1.0, 0.0]
