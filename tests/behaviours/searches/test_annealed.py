"""Annealed search finds the modes that no start knows, and weighs them."""

import math

import pytest
import torch

from amortized.behaviours import AnnealedSearch
from amortized.targets.callable import DensityTarget
from tests.known import seeded


def two_modes() -> DensityTarget:
    """A quarter of N((−4, 0), I) and three quarters of N((4, 0), I)."""

    def log_prob(x):
        left = -0.5 * (x - torch.tensor([-4.0, 0.0])).square().sum(-1) + math.log(0.25)
        right = -0.5 * (x - torch.tensor([4.0, 0.0])).square().sum(-1) + math.log(0.75)
        return torch.logaddexp(left, right)

    return DensityTarget(log_prob, 2, dtype=torch.float32)


def test_modes_have_their_weights_whatever_the_starts():
    """1 000 particles: share of the left mode 0.25 ± 0.014 if independent; 5 times that of a third as many."""
    found = AnnealedSearch(scale=6.0)(two_modes(), torch.full((1_000, 2), 4.0), seeded())
    assert found.ends.shape == (1_000, 2)
    left = float((found.ends[:, 0] < 0).double().mean())
    assert abs(left - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 333)
    torch.testing.assert_close(found.log_target, two_modes().log_prob(found.ends))


def test_impossible_numbers_are_refused():
    with pytest.raises(ValueError, match="scale=0"):
        AnnealedSearch(scale=0)
    with pytest.raises(ValueError, match="ess_fraction=1"):
        AnnealedSearch(ess_fraction=1)
