"""The kernelised Stein discrepancy against its definition and on draws whose law is known."""

import pytest
import torch

from amortized.metrics import stein
from amortized.metrics.stein import stein_discrepancy, stein_floor
from tests.known import seeded


def normal(count, dim=2, seed=0):
    return torch.randn(count, dim, generator=seeded(seed), dtype=torch.float64)


def by_differentiation(x, y, score_x, score_y, scale):
    """The Stein kernel of one pair, its derivatives by autograd."""

    def kernel(a, b):
        return (scale**2 + (a - b).square().sum()).rsqrt()

    of_x, of_y = torch.func.grad(kernel, 0)(x, y), torch.func.grad(kernel, 1)(x, y)
    mixed = torch.func.jacrev(torch.func.grad(kernel, 0), 1)(x, y).trace()
    return score_x @ score_y * kernel(x, y) + score_x @ of_y + score_y @ of_x + mixed


@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_it_is_the_mean_of_the_stein_kernel(scale):
    draws, scores = normal(7, 3) + 5, normal(7, 3, seed=1)
    points = list(zip(draws, scores, strict=True))
    pairs = [by_differentiation(x, y, s, t, scale) for x, s in points for y, t in points]
    assert stein_discrepancy(draws, scores, scale) == pytest.approx(float(torch.stack(pairs).mean().sqrt()), rel=1e-9)


def test_blocks_change_nothing(monkeypatch):
    draws = normal(50)
    whole = stein_discrepancy(draws, -draws)
    monkeypatch.setattr(stein, "ENTRIES", 50 * 7)
    assert stein_discrepancy(draws, -draws) == pytest.approx(whole, rel=1e-12)


@pytest.mark.parametrize("dim", [1, 2, 10])
def test_exact_draws_are_at_the_floor_and_shifted_ones_above(dim):
    """E KSD² is the floor's square for exact draws; its spread is below it: the mean of ten within 3 × 1/√10 of it."""
    found = torch.tensor([stein_discrepancy(x, -x) ** 2 for x in (normal(400, dim, seed) for seed in range(10))])
    floor = stein_floor(-normal(400, dim))
    assert float(found.mean()) == pytest.approx(floor**2, rel=0.95)
    shifted = normal(400, dim) + 0.5
    assert stein_discrepancy(shifted, -shifted) > 2 * floor


def test_more_draws_bring_it_nearer_to_zero():
    few, many = normal(100), normal(1_600)
    assert stein_discrepancy(many, -many) < 0.5 * stein_discrepancy(few, -few)


def test_the_normalization_and_the_place_do_not_matter():
    draws = normal(100)
    assert stein_discrepancy(draws + 1000, -draws) == pytest.approx(stein_discrepancy(draws, -draws), rel=1e-6)


def test_it_hardly_sees_the_weights_of_distant_modes():
    """Ten apart, all draws in one of two equal Gaussians: not a third above the floor. Said in docs/metrics.md."""
    draws = normal(500) + 5
    scores = -(draws - 5)
    assert stein_discrepancy(draws, scores) < 1.34 * stein_floor(scores)


def test_wrong_arguments_are_named():
    draws = normal(5)
    with pytest.raises(ValueError, match=r"scores: shape \(4, 2\), draws \(5, 2\)"):
        stein_discrepancy(draws, draws[:4])
    with pytest.raises(ValueError, match="5 of 5 rows"):
        stein_discrepancy(draws, draws / 0)
    with pytest.raises(ValueError, match="scale: 0"):
        stein_discrepancy(draws, draws, 0)


@pytest.mark.slow
def test_sixteen_hundred_dimensions_fit_in_memory():
    draws = torch.randn(2_000, 1_600, generator=seeded())
    assert stein_discrepancy(draws, -draws) == pytest.approx(stein_floor(-draws), rel=0.1)
