"""The sharpened warm-up: nearer where it can be, never without a mode, and its word in the status."""

from dataclasses import replace

import torch

from amortized.mixtures.gaussian import GaussianMixture
from amortized.mixtures.product import ProductMixture
from amortized.optimise.natural_gradient import Nearest
from amortized.targets.callable import DensityTarget
from amortized.warmup import WarmUp, sharpen
from amortized.warmup.sharpen import bound, sharpened
from amortized.weights import Estimate
from tests.known import seeded

MEANS = torch.tensor([[-20.0, 0.0], [20.0, 0.0]]).double()
EXACT = GaussianMixture(torch.tensor([0.05, 0.95]).double(), MEANS, torch.eye(2).double().repeat(2, 1, 1))
TARGET = DensityTarget(EXACT.log_prob, 2, dtype=torch.float64)


def warm_up_of(mixture):
    """Exact draws, and a mixture that need not be the one that they are of."""
    draws = EXACT.sample(512, seeded(1))
    shift, covariance = EXACT.moments()
    evidence = Estimate(0.0, 0.1)
    factor = torch.linalg.cholesky(covariance)
    return WarmUp(draws, EXACT.log_prob(draws), shift, factor, mixture, None, evidence, True, "warm", 100, 1.0)


def test_unequal_modes_are_kept_and_the_mixture_is_nearer(monkeypatch):
    """The bound is 0 at the best, so under .01 in size; its standard error over 4,096 draws is then far smaller."""
    coarse = replace(EXACT, weights=torch.tensor([0.3, 0.7]).double(), scale_trils=2 * EXACT.scale_trils)
    warm = warm_up_of(coarse)
    monkeypatch.setattr(sharpen, "STEPS", 150)
    found = sharpened(warm, TARGET, 8, 60.0, seeded())
    assert bound(TARGET, coarse, seeded()).value < -0.5
    assert abs(bound(TARGET, found.mixture, seeded()).value) < 0.01
    left = found.mixture.means[:, 0] < 0
    assert abs(float(found.mixture.weights[left].sum()) - 0.05) < 0.01
    assert len(found.mixture.weights) == 8 and "natural gradients raised" in found.status
    assert found.target_calls >= 100 + 150 * 8 * 32
    torch.testing.assert_close(found.draws, warm.draws, rtol=0.0, atol=0.0)


def test_a_mixture_that_lost_a_mode_is_not_kept(monkeypatch):
    coarse = replace(EXACT, scale_trils=3 * EXACT.scale_trils)
    warm = warm_up_of(coarse)
    one = GaussianMixture(torch.ones(1).double(), MEANS[1:], EXACT.scale_trils[1:])
    monkeypatch.setattr(
        sharpen,
        "nearest_mixture",
        lambda *arguments, **options: Nearest(one.inverse_affine(warm.shift, warm.scale_tril), 1, 7),
    )
    found = sharpened(warm, TARGET, 8, 60.0, seeded())
    assert found.mixture is coarse
    assert "not used: the draws of 1 components" in found.status and "7 draws without finite density" in found.status


def test_what_is_near_already_is_kept():
    found = sharpened(warm_up_of(EXACT), TARGET, 8, 60.0, seeded())
    assert found.mixture is EXACT and "the mixture stays" in found.status
    assert found.target_calls == 100 + sharpen.BOUND_DRAWS and found.seconds > 1.0


def test_what_gained_nothing_is_not_kept(monkeypatch):
    coarse = replace(EXACT, scale_trils=3 * EXACT.scale_trils)
    monkeypatch.setattr(sharpen, "nearest_mixture", lambda density, initial, *rest, **options: Nearest(initial, 0, 0))
    found = sharpened(warm_up_of(coarse), TARGET, 2, 60.0, seeded())
    assert found.mixture is coarse and "not used: no clear gain" in found.status


def test_a_product_is_left_alone():
    one = torch.ones(2, 1).double()
    product = ProductMixture(one, 0 * one, one, MEANS[0], torch.eye(2).double())
    warm = replace(warm_up_of(EXACT), product=product)
    found = sharpened(warm, TARGET, 8, 60.0, seeded())
    assert found.product is product and found.target_calls == 100 and "product" in found.status
