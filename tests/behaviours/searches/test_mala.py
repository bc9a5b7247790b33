"""MALA search: exact draws stay exact, the step finds 0.574 or stays, far ends come home."""

import torch

from amortized.behaviours import MALASearch
from tests.known import gaussian, seeded

MEAN = torch.tensor([1.0, -1.0])
COVARIANCE = torch.tensor([[0.5, 0.2], [0.2, 1.5]])


def normal():
    return gaussian([1.0, -1.0], COVARIANCE)


def test_the_step_size_adapts_to_the_best_acceptance():
    """From a hundred times too short and too long: with the step kept between searches, within 0.06 of 0.574."""
    for step_size in (0.005, 50.0):
        search, starts = MALASearch(steps=100, step_size=step_size), torch.randn(500, 2, generator=seeded()) + MEAN
        acceptance = [search(normal(), starts, seeded(round_)).acceptance_rate for round_ in range(2)]
        assert abs(acceptance[1] - 0.574) < 0.06
        assert 0.1 < search.step_size < 3.0


def test_a_fixed_step_stays():
    search = MALASearch(steps=5, step_size=0.3, adapt=False)
    search(normal(), torch.zeros(4, 2), seeded())
    assert search.step_size == 0.3


def test_far_ends_come_home():
    found = MALASearch(steps=200, step_size=0.1)(normal(), MEAN + 30 + torch.randn(200, 2), seeded())
    assert (found.ends - MEAN).norm(dim=-1).max() < 10


def test_a_burn_in_fills_a_buffer_with_many_draws():
    """100 chains of 100 kept moves: about 57 % of them accepted, half at the least; their mean within 0.15.

    Kept moves of a chain are correlated over some ten moves: 1 000 draws' worth, deviations up to 1.3, error 0.04. A
    state is kept once however long a chain stayed in it, which widens the law a little and leaves its centre.
    """
    found = MALASearch(steps=200, step_size=0.1, burn_in=100)(normal(), MEAN.expand(100, 2), seeded())
    assert 5_000 < len(found.ends) < 8_000
    assert len(found.ends.unique(dim=0)) == len(found.ends)
    assert ((found.ends.mean(0) - MEAN).abs() < 0.15).all()


def test_its_cost_is_one_call_a_move():
    target = normal()
    before = target.calls
    MALASearch(steps=7)(target, torch.zeros(10, 2), seeded())
    assert target.calls - before == 10 * 8
