"""Chains in straightened coordinates: they find the law of a bend whose draws were too narrow."""

import torch

from amortized.targets.callable import DensityTarget
from amortized.warmup.straighten import straightened
from tests.known import seeded


def test_normal_draws_are_left_alone():
    normal = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=3)
    assert straightened(normal, torch.randn(1_000, 3, generator=seeded()), 1.0, seeded()) is None
    assert normal.calls == 0


def test_a_bend_is_found_from_draws_of_half_its_width():
    """x_2 = x_1² + .1 e. R-hat under 1.03 and 1,000 effective draws: the std of x_1 is then known to .03."""
    bend = DensityTarget(lambda x: -0.5 * (x[:, 0].square() + ((x[:, 1] - x[:, 0].square()) / 0.1).square()), dim=2)
    x = 0.5 * torch.randn(2_000, 2, generator=seeded())
    x[:, 1] = x[:, 0].square() + 0.2 * x[:, 1]
    found = straightened(bend, x, 20.0, seeded(1))
    assert found is not None and found.chains.converged
    assert abs(float(found.draws[:, 0].std()) - 1) < 0.12
    assert abs(float((found.draws[:, 1] - found.draws[:, 0].square()).std()) - 0.1) < 0.01
