"""The splitting integrator: rotations that keep volume and law, and a velocity that leaves the weight again."""

import math

import pytest
import torch

from amortized.processes import Underdamped
from amortized.processes.grids import Power
from amortized.simulation import rollout
from tests.known import gaussian, isotropic, seeded, steering


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_half_a_rotation_keeps_volume_and_length(sign, in_double_precision):
    process = Underdamped(3, 1.3, grid=Power(2.0))
    for k in range(3):
        x = torch.randn(4)
        jacobian = torch.autograd.functional.jacobian(lambda x, k=k: torch.cat(process._turned(k, x, sign), -1), x)
        assert abs(float(torch.linalg.det(jacobian)) - 1) < 1e-12
        torch.testing.assert_close(jacobian @ jacobian.mT, torch.eye(4))


def test_the_two_rotations_undo_each_other(in_double_precision):
    process, x = Underdamped(3), torch.randn(5, 6)
    for k in range(3):
        there = torch.cat(process._turned(k, x, 1.0), -1)
        torch.testing.assert_close(torch.cat(process._turned(k, there, -1.0), -1), x)


def test_a_step_without_a_kick_is_a_whole_rotation(in_double_precision):
    """Retraced velocity put back as the moved one: harmonic motion over the length of the step."""
    process, x = Underdamped(4, duration=2.0), torch.randn(5, 2)
    y = process.layout.advance(1, x, process.layout.retraced(1, x))
    position, velocity = x[:, :1], x[:, 1:]
    angle = torch.tensor(0.5)
    expected = [angle.cos() * position + angle.sin() * velocity, angle.cos() * velocity - angle.sin() * position]
    torch.testing.assert_close(y, torch.cat(expected, -1))


def test_a_step_keeps_the_position_at_the_kick(in_double_precision):
    process, x = Underdamped(4), torch.randn(5, 4)
    y = process.layout.advance(2, x, torch.randn(5, 2))
    torch.testing.assert_close(process._turned(2, y, -1.0)[0], process.layout.visited(2, x))


def test_velocities_are_forgotten_as_friction_says(in_double_precision):
    """Correlation of the velocity across a kick is exp(-friction h): 20 000 of them, five standard errors."""
    process, count = Underdamped(4, 2.0, duration=2.0, friction=1.5), 20_000
    path = rollout(process, steering(process, 1).requires_grad_(False), isotropic(1), count, seeded())
    before, after = process.layout.retraced(1, path.states[1]), process.layout.moved(1, path.states[2])
    correlation = float(torch.corrcoef(torch.cat([before, after], -1).mT)[0, 1])
    assert abs(correlation - math.exp(-1.5 * 0.5)) < 5 / math.sqrt(count)


def test_the_velocity_at_the_end_leaves_through_the_boundary(in_double_precision):
    process = Underdamped(4, 1.7)
    first, last = torch.randn(3, 4), torch.randn(3, 4)
    normal = torch.distributions.Normal(0.0, 1.7)
    expected = normal.log_prob(first).sum(-1) - normal.log_prob(last[:, 2:]).sum(-1)
    torch.testing.assert_close(process.log_boundary(first, last), expected)
    moved = torch.cat([last[:, :2] + 9.0, last[:, 2:]], -1)
    torch.testing.assert_close(process.log_boundary(first, moved), expected)


def test_bridges_carry_fresh_velocities(in_double_precision):
    """Velocities at the end are N(0, scale²), whatever the ends: 20 000, five standard errors."""
    last = Underdamped(3, 1.7).bridge(torch.full((20_000, 1), 4.0), seeded())[-1]
    assert (last[:, 0] == 4.0).all()
    assert last[:, 1].mean().abs() < 5 * 1.7 / math.sqrt(20_000)
    assert abs(float(last[:, 1].std()) / 1.7 - 1) < 5 / math.sqrt(2 * 20_000)


def test_the_score_is_asked_for_where_the_kick_falls(in_double_precision):
    process = Underdamped(4)
    target = gaussian([1.0, -1.0], torch.eye(2))
    path = rollout(process, steering(process, 2, langevin=True), target, 5, seeded())
    assert path.states.shape == (5, 5, 4) and path.ends.shape == (5, 2)
    assert path.scores is not None
    for k in range(4):
        places = process._turned(k, path.states[k], 1.0)[0]
        torch.testing.assert_close(path.scores[k], target.log_prob_and_score(places)[1])


def test_the_langevin_shift_vanishes_where_the_target_is_the_reference():
    process, x = Underdamped(4, 1.7), torch.randn(5, 2)
    assert process.langevin(x, -x / 1.7**2, process.belief(0, torch.randn(5, 4))).abs().max() < 1e-6


@pytest.mark.parametrize(("options", "named"), [({"duration": 0}, "duration=0"), ({"friction": -1}, "friction=-1")])
def test_impossible_times_are_refused_by_name(options, named):
    with pytest.raises(ValueError, match=named):
        Underdamped(4, **options)
