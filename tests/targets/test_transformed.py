"""The way from coordinates of coordinates back to those that were given, with the determinant of all of it."""

import torch

from amortized.targets.affine import WhitenedTarget
from amortized.targets.callable import DensityTarget
from amortized.targets.curved import CurvedTarget, triangular_map
from amortized.targets.transformed import from_origin, origin, to_origin
from tests.known import seeded


def bend() -> DensityTarget:
    return DensityTarget(
        lambda x: -0.5 * (x[:, 0].square() + (x[:, 1] - x[:, 0].square()).square()), dim=2, dtype=torch.float64
    )


def white_and_straight() -> WhitenedTarget:
    x = torch.randn(4_000, 2, generator=seeded())
    x[:, 1] += x[:, 0].square()
    curved = CurvedTarget(bend(), triangular_map(x))
    return WhitenedTarget(curved, torch.tensor([0.3, -0.2]), torch.tensor([[0.5, 0.0], [0.7, 2.0]]))


def test_the_origin_is_the_density_that_was_given(in_double_precision):
    white = white_and_straight()
    assert isinstance(white.target, CurvedTarget)
    assert origin(white) is origin(white.target) is white.target.target
    assert isinstance(origin(white), DensityTarget)


def test_the_determinant_is_that_of_the_whole_way(in_double_precision):
    white, u = white_and_straight(), torch.randn(5, 2, generator=seeded(1))
    x, log_dets = to_origin(white, u)
    assert isinstance(white.target, CurvedTarget)
    torch.testing.assert_close(x, white.target.inside(white.unwhiten(u)))
    for row, log_det in zip(u, log_dets, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda v: to_origin(white, v[None])[0][0], row)
        torch.testing.assert_close(torch.linalg.slogdet(jacobian).logabsdet, log_det)


def test_the_density_is_the_origins_with_that_determinant(in_double_precision):
    white, u = white_and_straight(), torch.randn(7, 2, generator=seeded(2))
    x, log_dets = to_origin(white, u)
    torch.testing.assert_close(white.log_prob(u), origin(white).log_prob(x) + log_dets)


def test_a_density_in_its_own_coordinates_stays_there():
    target, x = bend(), torch.randn(3, 2)
    same, log_dets = to_origin(target, x)
    assert origin(target) is target and torch.equal(same, x) and not log_dets.any()
    assert torch.equal(from_origin(target, x), x)


def test_the_way_there_undoes_the_way_back(in_double_precision):
    white, u = white_and_straight(), torch.randn(7, 2, generator=seeded(3))
    torch.testing.assert_close(from_origin(white, to_origin(white, u)[0]), u)
