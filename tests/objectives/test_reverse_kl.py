"""Reverse KL is the negative log weight, and skips what has none."""

import torch

from amortized.objectives import ReverseKL
from tests.objectives.test_trajectory_balance import weighing


def test_the_loss_is_the_negative_log_weight_and_nothing_where_there_is_none():
    assert ReverseKL()(weighing([1.0, -2.0, -torch.inf, torch.nan])).tolist() == [-1.0, 2.0, 0.0, 0.0]
