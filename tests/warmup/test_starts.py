"""Starts of optimisation runs and of chains: dispersed, and where the density is finite."""

import pytest
import torch

from amortized.targets.callable import DensityTarget
from amortized.warmup.starts import SCALES, normal_starts, uniform_starts
from tests.known import isotropic, seeded


def test_starts_are_drawn_at_every_scale_in_turn():
    """400 numbers a scale: five standard errors of a std, 5/√800."""
    x = normal_starts(isotropic(4), 400, seeded())
    for turn, scale in enumerate(SCALES):
        assert abs(float(x[turn :: len(SCALES)].std()) / scale - 1) < 5 / 800**0.5


def test_starts_shrink_until_the_density_is_not_zero():
    inside = DensityTarget(lambda x: torch.where(x.abs().amax(-1) < 0.2, 0.0, -torch.inf), 2)
    x = normal_starts(inside, 40, seeded())
    assert len(x) > 30 and x.abs().max() < 0.2 and len(x.unique(dim=0)) == len(x)


def test_no_normal_start_is_an_error_that_says_what_to_check():
    with pytest.raises(ValueError, match="is -inf or NaN at all 48 starting points tried"):
        normal_starts(DensityTarget(lambda x: torch.full_like(x[:, 0], torch.nan), 2), 4, seeded())


def test_starts_keep_to_where_the_density_is_finite():
    inside = DensityTarget(lambda x: torch.where(x.abs().amax(-1) < 0.1, 0.0, -torch.inf) - x.square().sum(-1), dim=2)
    starts = uniform_starts(inside, count=4, seed=0)
    assert starts.shape == (4, 2) and starts.abs().max() < 0.1


def test_starts_depend_on_the_seed_alone_and_are_dispersed():
    flat = DensityTarget(lambda x: 0 * x.sum(-1), dim=2)
    assert len(uniform_starts(flat, 50, 0).unique(dim=0)) == 50
    assert torch.equal(uniform_starts(flat, 3, 0), uniform_starts(flat, 3, 0))
    assert not torch.equal(uniform_starts(flat, 3, 0), uniform_starts(flat, 3, 1))


def test_no_uniform_start_is_an_error_that_says_what_to_check():
    with pytest.raises(ValueError, match="no 2 starts with a finite log density.*NaN in the data"):
        uniform_starts(DensityTarget(lambda x: x.sum(-1) * torch.nan, dim=2), 2, 0)
