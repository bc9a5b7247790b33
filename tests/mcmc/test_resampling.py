"""Ancestors, column by column."""

import pytest
import torch

from amortized.mcmc.resampling import effective_sample_size, pareto_shape, systematic, systematic_by_context
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


def test_a_single_ancestor_is_drawn_by_its_weight():
    """Without an offset of chance one row would be taken always; 2,000 draws, four binomial errors."""
    log_weights, generator = torch.tensor([0.3, 0.7]).log(), seeded()
    taken = torch.cat([systematic(log_weights, 1, generator) for _ in range(2_000)]).double()
    assert abs(float(taken.mean()) - 0.7) < 4 * (0.21 / 2_000) ** 0.5


@pytest.mark.parametrize(("scale", "expected"), [(0.2, 0.2551033), (0.6, 0.5769386), (1.5, 1.3012676)])
def test_khat_is_that_of_the_reference_implementation(scale, expected):
    """The tail of 60 of 400 weights of shape ``scale``: ``arviz.psislw(log_weights)[1]`` of ArviZ 0.23.4."""
    log_weights = -scale * torch.log1p(-(torch.arange(400, dtype=torch.float64) + 0.5) / 400)
    assert pareto_shape(log_weights) == pytest.approx(expected, abs=1e-6)
