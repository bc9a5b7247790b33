"""The search for modes ends where there are no more, and refuses what has no top."""

import pytest

from amortized.warmup.modes import Improper, find_modes, refuse_improper
from amortized.warmup.rays import normal_rays
from amortized.warmup.screening import Screening
from amortized.warmup.starts import normal_starts
from tests.known import isotropic, seeded


def test_points_are_timed_only_where_they_are_looked_at(monkeypatch):
    """One mode: it is looked from once, and not timed again."""
    timed = []
    screening = Screening(isotropic(2), normal_rays, 60.0, seeded())
    points = screening.points
    monkeypatch.setattr(screening, "points", lambda modes, x: timed.append(modes) or points(modes, x))
    starts = normal_starts(screening.target, 4, seeded())
    modes, _ = find_modes(screening.target, starts, screening, seeded(), lambda: False)
    assert len(modes.weights) == 1 and timed == [1]


def test_a_density_without_a_top_is_improper():
    refuse_improper(1e11)
    with pytest.raises(Improper, match="the posterior looks improper"):
        refuse_improper(1e13)
