"""A triangular map: exact inverse and density; it straightens bends and funnels, and invents none in normal draws."""

import math

import torch

from amortized.targets.callable import DensityTarget
from amortized.targets.curved import CurvedTarget, triangular_map
from tests.known import seeded


def bent_funnel(count: int, seed: int = 0) -> torch.Tensor:
    """x_2 bends over x_1, x_3 is a funnel over x_1, x_4 is on its own."""
    x = torch.randn(count, 4, generator=seeded(seed), dtype=torch.float64)
    x[:, 1] = x[:, 0] ** 2 - 2 * x[:, 0] + 0.3 * x[:, 1]
    x[:, 2] = (0.8 * x[:, 0]).exp() * x[:, 2]
    return x


def log_density(x: torch.Tensor) -> torch.Tensor:
    """Of ``bent_funnel``, with Z = 1."""
    one, two, three, four = x.unbind(-1)
    squares = one**2 + ((two - one**2 + 2 * one) / 0.3) ** 2 + (three * (-0.8 * one).exp()) ** 2 + four**2
    return -0.5 * squares - math.log(0.3) - 0.8 * one - 2 * math.log(2 * math.pi)


def straightened() -> CurvedTarget:
    target = DensityTarget(log_density, 4, dtype=torch.float64)
    return CurvedTarget(target, triangular_map(bent_funnel(8_000)))


def test_the_inverse_is_exact(in_double_precision):
    map, u = straightened().map, torch.randn(50, 4, generator=seeded(1))
    torch.testing.assert_close(map.inverse(map.forward(u)[0]), u, atol=1e-9, rtol=1e-9)


def test_the_log_determinant_is_that_of_the_jacobian(in_double_precision):
    map, u = straightened().map, torch.randn(5, 4, generator=seeded(1))
    for row, log_det in zip(u, map.forward(u)[1], strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v: map.forward(v[None])[0][0], row)
        torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, log_det)


def test_the_score_is_the_gradient(in_double_precision):
    target, u, step = straightened(), torch.randn(5, 4, generator=seeded(1)), 1e-5
    score = target.log_prob_and_score(u)[1]
    for place in range(4):
        aside = step * torch.eye(4)[place]
        slope = (target.log_prob(u + aside) - target.log_prob(u - aside)) / (2 * step)
        torch.testing.assert_close(score[:, place], slope, atol=1e-6, rtol=1e-6)


def test_a_bend_and_a_funnel_become_normal(in_double_precision):
    """Eleven coefficients from 8,000 draws: log R has a std of about (11 / 8,000)^½ = .04 around that of N(0, I)."""
    target, u = straightened(), torch.randn(4_000, 4, generator=seeded(1))
    log_weight = target.log_prob(u) + 0.5 * u.square().sum(-1) + 2 * math.log(2 * math.pi)
    assert float(log_weight.std()) < 0.1
    assert abs(float(log_weight.logsumexp(0)) - math.log(4_000)) < 0.01


def test_normal_draws_get_an_affine_map():
    """A chance of one in a thousand that any term enters."""
    x = torch.randn(4_000, 6, generator=seeded(2)) @ torch.randn(6, 6, generator=seeded(3))
    assert not triangular_map(x, effective=4_000).curved


def test_draws_go_in_and_out_as_the_model_writes_them(in_double_precision):
    target, x = straightened(), bent_funnel(20, seed=4)
    torch.testing.assert_close(target.inside(target.map.inverse(x)), x, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(target.constrain(target.map.inverse(x))["x"], x, atol=1e-9, rtol=1e-9)
