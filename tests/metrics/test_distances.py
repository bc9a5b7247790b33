"""Distances between clouds whose distance is known, and what two exact sets give."""

import math
import sys

import pytest
import torch

from amortized.metrics.distances import maximum_mean_discrepancy, noise_floor, sinkhorn_distance, wasserstein2
from tests.known import seeded

DISTANCES = [wasserstein2, sinkhorn_distance, maximum_mean_discrepancy]


def normal(count, generator, dim=2):
    return torch.randn(count, dim, generator=generator, dtype=torch.float64)


@pytest.fixture
def transport():
    return pytest.importorskip("ot", reason="POT is in the extra 'bench'")


@pytest.mark.parametrize("dim", [1, 2, 32])
def test_a_translated_copy_is_as_far_as_the_translation(transport, dim):
    """For equal clouds no plan beats the translation: exactly |m|, for W2; Sinkhorn to its stopping threshold."""
    shift = torch.full((dim,), 3 / math.sqrt(dim), dtype=torch.float64)
    x = normal(100, seeded(), dim)
    shuffled = (x + shift)[torch.randperm(100, generator=seeded())]
    assert wasserstein2(x, shuffled) == pytest.approx(3, abs=1e-5)
    assert sinkhorn_distance(x, shuffled) == pytest.approx(3, abs=1e-3)


def test_on_a_line_the_plan_is_the_sorted_one(transport):
    x, y = normal(300, seeded(), 1), 2 * normal(300, seeded(1), 1) + 1
    assert wasserstein2(x, y) == pytest.approx(float((x.sort(0).values - y.sort(0).values).square().mean().sqrt()))


def test_two_gaussians_are_as_far_as_the_formula(transport):
    """W2 of N(0, 1) and N(3, 4) is √(9 + 1); on a line its error is about √((1 + 4) / 500) = 0.1: within 3."""
    x, y = normal(500, seeded(), 1), 2 * normal(500, seeded(1), 1) + 3
    assert wasserstein2(x, y) == pytest.approx(math.sqrt(10), abs=0.3)


def test_sinkhorn_tends_to_the_exact_distance_and_to_the_means(transport):
    """Regularisation 0 gives W2, to the plan's blur; infinite leaves the distance of the two means."""
    x, y = normal(150, seeded()), normal(150, seeded(1)) + 1
    assert sinkhorn_distance(x, y, 0.02) == pytest.approx(wasserstein2(x, y), rel=0.03)
    assert sinkhorn_distance(x, y, 1e4) == pytest.approx(float((x.mean(0) - y.mean(0)).norm()), rel=1e-2)


def test_the_kernel_distance_of_one_law_is_its_own_floor():
    """E MMD² = (1/N + 1/M)(1 − mean k) for exact draws; the mean of k is over 0, so sqrt(2/N) bounds it from above."""
    floor = noise_floor(maximum_mean_discrepancy, normal, 400, 5, seeded())
    assert 0 < floor.value < math.sqrt(2 / 400)
    far = maximum_mean_discrepancy(normal(400, seeded(1)) + 1, normal(400, seeded(2)))
    assert far > floor.value + 10 * floor.std_error


def test_the_kernel_distance_of_gaussians_is_the_closed_form():
    """For k = exp(−r²/2h) on N(0, 1) and N(m, 1): MMD² = 2 √(h/(h+2)) (1 − exp(−m²/2(h+2))); noise of 2,000: 5 %."""
    x, y = normal(2_000, seeded(), 1) + 1.5, normal(2_000, seeded(1), 1)
    median = 2 * 0.4549
    widths = [scale * median for scale in (0.25, 0.5, 1.0, 2.0, 4.0)]
    truth = sum(2 * math.sqrt(h / (h + 2)) * (1 - math.exp(-(1.5**2) / (2 * (h + 2)))) for h in widths) / 5
    assert maximum_mean_discrepancy(x, y) == pytest.approx(math.sqrt(truth), rel=0.05)


def test_the_floor_is_the_spread_of_independent_pairs():
    sizes = []

    def distance(x, y):
        sizes.append((len(x), len(y)))
        assert not torch.equal(x, y)
        return float(len(sizes))

    assert noise_floor(distance, normal, 10, 3, seeded()) == (2.0, 1.0)
    assert sizes == [(10, 10)] * 3
    with pytest.raises(ValueError, match="repeats: 1"):
        noise_floor(distance, normal, 10, 1)


@pytest.mark.parametrize("distance", DISTANCES)
def test_what_cannot_be_measured_is_named(transport, distance):
    x = normal(20, seeded())
    with pytest.raises(ValueError, match=r"y: 1 of 20 draws are not finite"):
        distance(x, torch.where(torch.arange(20)[:, None] == 3, torch.nan, x))
    with pytest.raises(ValueError, match="dimensions 2 and 1"):
        distance(x, x[:, :1])
    with pytest.raises(ValueError, match=r"x: shape \(20,\)"):
        distance(x[:, 0], x)


def test_what_has_no_plan_or_kernel_is_named(transport):
    x = normal(20, seeded())
    with pytest.raises(ValueError, match="20 and 10 draws"):
        wasserstein2(x, x[:10])
    with pytest.raises(ValueError, match="regularisation: 0.0"):
        sinkhorn_distance(x, x, 0.0)
    with pytest.raises(ValueError, match="are equal"):
        maximum_mean_discrepancy(x, torch.zeros(20, 2))


@pytest.mark.parametrize("distance", [wasserstein2, sinkhorn_distance])
def test_without_the_package_the_error_says_what_to_install(monkeypatch, distance):
    monkeypatch.setitem(sys.modules, "ot", None)
    with pytest.raises(ImportError, match=r"pip install 'amortized\[bench\]'"):
        distance(torch.zeros(2, 1), torch.ones(2, 1))


@pytest.mark.slow
def test_two_exact_sets_of_25_gaussians_are_as_far_as_the_reference_says(transport):
    """/work/shared/reference_figures.md: 1.20 ± 0.11; the mean of five within three of its standard errors."""

    def mixture(count, generator):
        cells = torch.randint(-2, 3, (count, 2), generator=generator)
        return 5.0 * cells + 0.3**0.5 * torch.randn(count, 2, generator=generator)

    assert noise_floor(wasserstein2, mixture, 2_000, 5, seeded()).value == pytest.approx(1.20, abs=0.2)
