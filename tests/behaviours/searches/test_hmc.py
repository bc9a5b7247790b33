"""HMC search: the step finds 0.75, the metric helps, far ends come home."""

import torch

from amortized.behaviours import HMCSearch
from tests.known import gaussian, seeded


def test_the_step_size_adapts():
    """From a hundred times too short: with the step kept between searches, within 0.1 of 0.75."""
    search, target = HMCSearch(steps=60, step_size=0.01), gaussian([0.0, 0.0], torch.eye(2))
    acceptance = [search(target, torch.zeros(300, 2), seeded(round_)).acceptance_rate for round_ in range(2)]
    assert abs(acceptance[1] - 0.75) < 0.1
    assert search.step_size > 0.5
    fixed = HMCSearch(steps=2, step_size=0.2, adapt=False)
    fixed(target, torch.zeros(3, 2), seeded())
    assert fixed.step_size == 0.2


def test_a_factor_of_the_covariance_makes_scales_alike():
    """Deviations of 0.01 and 100 from starts at 0: 400 chains give both within 5 / √800 of 1."""
    deviations = torch.tensor([0.01, 100.0])
    target = gaussian([0.0, 0.0], deviations.square().diag())
    search = HMCSearch(steps=20, step_size=0.5, factor=deviations.diag())
    found = search(target, torch.zeros(400, 2), seeded())
    assert ((found.ends.std(0) / deviations - 1).abs() < 5 / 800**0.5).all()


def test_far_ends_come_home():
    target = gaussian([0.0, 0.0], torch.eye(2))
    found = HMCSearch(steps=100)(target, torch.full((50, 2), 30.0), seeded())
    assert found.ends.norm(dim=-1).max() < 8


def test_its_cost_is_one_call_a_leapfrog_step():
    target = gaussian([0.0, 0.0], torch.eye(2))
    before = target.calls
    HMCSearch(steps=7, num_steps=3)(target, torch.zeros(10, 2), seeded())
    assert target.calls - before == 10 * (7 * 3 + 1)
