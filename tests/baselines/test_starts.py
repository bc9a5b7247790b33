"""Starts keep to where the density is finite."""

import pytest
import torch

from amortized.baselines.starts import dispersed_starts
from amortized.targets.callable import DensityTarget


def test_starts_keep_to_where_the_density_is_finite():
    inside = DensityTarget(lambda x: torch.where(x.abs().amax(-1) < 0.1, 0.0, -torch.inf) - x.square().sum(-1), dim=2)
    starts = dispersed_starts(inside, chains=4, seed=0)
    assert starts.shape == (4, 2) and starts.abs().max() < 0.1


def test_starts_depend_on_the_seed_alone_and_are_dispersed():
    flat = DensityTarget(lambda x: 0 * x.sum(-1), dim=2)
    assert len(dispersed_starts(flat, 50, 0).unique(dim=0)) == 50
    assert torch.equal(dispersed_starts(flat, 3, 0), dispersed_starts(flat, 3, 0))
    assert not torch.equal(dispersed_starts(flat, 3, 0), dispersed_starts(flat, 3, 1))


def test_no_start_is_an_error_that_says_what_to_check():
    with pytest.raises(ValueError, match="no 2 starts with a finite log density.*NaN in the data"):
        dispersed_starts(DensityTarget(lambda x: x.sum(-1) * torch.nan, dim=2), 2, 0)
