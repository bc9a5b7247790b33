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


def test_contexts_are_not_compared_with_each_other():
    """Weights agree within every context, and log Z of the contexts differ by 100 nats: nothing to learn."""
    assert LogVariance()(weighing([1.0, -99.0, 50.0] * 4, contexts=3)).tolist() == [0.0] * 12
    loss = LogVariance()(weighing([1.0, -100.0, 3.0, -100.0, 5.0, -97.0], contexts=2))
    assert loss.tolist() == [4.0, 1.0, 0.0, 1.0, 4.0, 4.0]


def test_a_context_without_any_weight_costs_nothing():
    assert LogVariance()(weighing([1.0, -torch.inf, 3.0, -torch.inf], contexts=2)).tolist() == [1.0, 0.0, 1.0, 0.0]
