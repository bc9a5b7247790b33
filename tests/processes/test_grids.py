"""Grids: times that rise from 0 to 1, in sampling as asked for, in training as drawn."""

import pytest
import torch

from amortized.processes import OrnsteinUhlenbeck
from amortized.processes.grids import Coarse, Power, Random, Uniform
from tests.known import seeded


@pytest.mark.parametrize("grid", [Uniform(), Power(2.0), Power(0.5), Power(7.0)], ids=str)
@pytest.mark.parametrize("steps", [1, 2, 33])
def test_times_rise_from_zero_to_one(grid, steps):
    times = grid(steps)
    assert times.shape == (steps + 1,) and times.dtype == torch.float64
    assert times[0] == 0 and times[-1] == 1 and (times.diff() > 0).all()


def test_an_exponent_over_one_shortens_the_steps_towards_the_target():
    assert torch.allclose(Power(1.0)(8), Uniform()(8))
    assert (Power(2.0)(8).diff().diff() < 0).all() and (Power(0.5)(8).diff().diff() > 0).all()


def test_an_exponent_that_does_not_rise_is_refused_by_name():
    with pytest.raises(ValueError, match=r"exponent=0.*exponent=2\.0"):
        Power(0)


def test_a_coarse_grid_is_laid_as_the_process_lays_its_own():
    process = OrnsteinUhlenbeck(32, grid=Power(2.0))
    assert torch.equal(Coarse(5)(process).times, Power(2.0)(5))


def test_random_times_stay_within_half_a_place_and_differ():
    """300 grids of 5 steps on a process of 32: every inner time uniform on its cell, mean within five errors."""
    process, generator = OrnsteinUhlenbeck(32), seeded()
    times = torch.stack([Random(5)(process, generator).times for _ in range(300)])
    place = torch.arange(6) / 5
    assert (times[:, 0] == 0).all() and (times[:, -1] == 1).all()
    assert ((times - place).abs() <= 0.1 + 1e-12).all()
    assert (times.mean(0) - place).abs().max() < 5 * 0.2 / 12**0.5 / 300**0.5
    assert (times[:, 1:-1].std(0) > 0.05).all()


def test_random_times_follow_the_grid_of_the_process():
    """Half a step to either side of every place of the process's own grid, which is not uniform."""
    process = OrnsteinUhlenbeck(8, grid=Power(3.0))
    for seed in range(20):
        times = Random(8)(process, seeded(seed)).times
        middles = (process.times[1:] + process.times[:-1]) / 2
        assert (times[1:-1] >= middles[:-1] - 1e-12).all() and (times[1:-1] <= middles[1:] + 1e-12).all()


def test_the_same_seed_lays_the_same_grid():
    process = OrnsteinUhlenbeck(8)
    one, two, other = (Random(4)(process, seeded(seed)).times for seed in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, other)
