"""Ancestors, column by column."""

import pytest
import torch

from amortized.mcmc.resampling import effective_sample_size, systematic, systematic_by_context
from tests.known import seeded


def test_each_column_is_resampled_by_itself():
    """Row i of the answer is one of column i mod M; every row of a column is taken ⌊n w⌋ or ⌈n w⌉ times."""
    log_weights = torch.randn(7, 3, generator=seeded()).double() + torch.tensor([0.0, 1e3, -1e3])
    rows = systematic_by_context(log_weights, 40, seeded())
    assert rows.shape == (120,) and torch.equal(rows % 3, torch.arange(120) % 3)
    for m in range(3):
        counts = torch.bincount(rows[m::3] // 3, minlength=7)
        assert ((counts - 40 * log_weights[:, m].softmax(0)).abs() < 1).all()


def test_one_column_is_plain_systematic_resampling():
    log_weights = torch.randn(50, generator=seeded()).double()
    assert torch.equal(systematic_by_context(log_weights[:, None], 20, seeded()), systematic(log_weights, 20, seeded()))


def test_a_column_without_weight_is_refused():
    log_weights = torch.zeros(4, 2)
    log_weights[:, 1] = -torch.inf
    with pytest.raises(ValueError, match="no weight is positive"):
        systematic_by_context(log_weights, 4, seeded())


def test_effective_sizes_of_columns():
    log_weights = torch.tensor([[0.0, 0.0], [0.0, -torch.inf], [0.0, -torch.inf]])
    torch.testing.assert_close(effective_sample_size(log_weights), torch.tensor([3.0, 1.0]).double())
