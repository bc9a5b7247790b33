"""Starts of the climbs: of every width, and where the density is not zero."""

import pytest
import torch

from amortized.targets.density import DensityTarget
from amortized.warmup.modes import START_SCALES, starts
from tests.known import isotropic, seeded


def test_starts_are_drawn_at_every_scale_in_turn():
    """400 numbers a scale: five standard errors of a deviation, 5/√800."""
    x = starts(isotropic(4), 400, seeded())
    for turn, scale in enumerate(START_SCALES):
        assert abs(float(x[turn :: len(START_SCALES)].std()) / scale - 1) < 5 / 800**0.5


def test_starts_shrink_until_the_density_is_not_zero():
    inside = DensityTarget(lambda x: torch.where(x.abs().amax(-1) < 0.2, 0.0, -torch.inf), 2)
    x = starts(inside, 40, seeded())
    assert len(x) > 30 and x.abs().max() < 0.2 and len(x.unique(dim=0)) == len(x)


def test_nowhere_is_said():
    with pytest.raises(ValueError, match="is -inf or NaN at all 48 starting points tried"):
        starts(DensityTarget(lambda x: torch.full_like(x[:, 0], torch.nan), 2), 4, seeded())
