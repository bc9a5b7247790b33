"""Starts of the climbs: of every width, and where the density is not zero."""

import pytest
import torch

from amortized.targets.callable import DensityTarget
from amortized.warmup.modes import START_SCALES, Improper, find_modes, refuse_improper, starts
from amortized.warmup.screening import Screening, normal_rays
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


def test_points_are_timed_only_where_they_are_looked_at(monkeypatch):
    """One mode: it is looked from once, and not timed again."""
    timed = []
    screening = Screening(isotropic(2), normal_rays, 60.0, seeded())
    points = screening.points
    monkeypatch.setattr(screening, "points", lambda modes, x: timed.append(modes) or points(modes, x))
    modes, _ = find_modes(screening.target, starts(screening.target, 4, seeded()), screening, seeded(), lambda: False)
    assert len(modes.weights) == 1 and timed == [1]


def test_what_climbs_without_end_is_improper():
    refuse_improper(1e11)
    with pytest.raises(Improper, match="the posterior looks improper"):
        refuse_improper(1e13)
