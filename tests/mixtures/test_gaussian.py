"""The Gaussian mixture: its density against torch.distributions, its maps, its fit."""

import pytest
import torch
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from amortized.mixtures.gaussian import GaussianMixture, fit_mixture, mixture_of, safe_cholesky


@pytest.fixture
def three():
    generator = torch.Generator().manual_seed(0)
    raw = torch.randn(3, 4, 4, generator=generator, dtype=torch.float64)
    factors = torch.linalg.cholesky(raw @ raw.mT + torch.eye(4))
    means = 5 * torch.randn(3, 4, generator=generator, dtype=torch.float64)
    return GaussianMixture(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64), means, factors)


def reference(mixture):
    law = MultivariateNormal(mixture.means, scale_tril=mixture.scale_trils)
    return MixtureSameFamily(Categorical(mixture.weights), law)


def test_density_and_score_agree_with_torch(three):
    x = three.sample(50, torch.Generator().manual_seed(1)).requires_grad_()
    expected = reference(three).log_prob(x)
    (slope,) = torch.autograd.grad(expected.sum(), x)
    value, score = three.log_prob_and_score(x.detach())
    assert torch.allclose(value, expected) and torch.allclose(score, slope)
    assert torch.allclose(three.log_prob(x), expected)


def test_draws_have_the_moments_of_the_mixture(three):
    # 40,000 draws: five standard errors are 0.025 sd for means, 0.036 sd² for covariances of Gaussians.
    x = three.sample(40_000, torch.Generator().manual_seed(2))
    mean, covariance = three.moments()
    sd = covariance.diagonal().sqrt()
    assert ((x.mean(0) - mean) / sd).abs().max() < 0.025
    assert ((torch.cov(x.T) - covariance) / (sd * sd[:, None])).abs().max() < 0.05


def test_affine_maps_undo_each_other_and_keep_mass(three):
    shift = torch.arange(4, dtype=torch.float64)
    factor = safe_cholesky(three.moments()[1])
    white = three.inverse_affine(shift, factor)
    x = three.sample(20, torch.Generator().manual_seed(3))
    z = torch.linalg.solve_triangular(factor, (x - shift).mT, upper=False).mT
    assert torch.allclose(white.log_prob(z), three.log_prob(x) + factor.diagonal().log().sum())
    assert torch.allclose(white.affine(shift, factor).means, three.means)


def test_joining_and_widening_keep_probabilities(three):
    both = mixture_of([three, three.widened((1.0, 3.0), (0.9, 0.1))], [1.0, 3.0])
    assert both.weights.numel() == 9 and float(both.weights.sum()) == pytest.approx(1.0)
    wide = three.widened((2.0,), (1.0,))
    assert torch.allclose(wide.scale_trils, 2 * three.scale_trils) and torch.equal(wide.weights, three.weights)


def test_fit_finds_far_components_of_unequal_weight_and_scale():
    # 2,000 draws, 15 % in the small mode: binomial standard error 0.8 points.
    truth = GaussianMixture(
        torch.tensor([0.85, 0.15], dtype=torch.float64),
        torch.tensor([[0.0, 0.0], [30.0, 400.0]], dtype=torch.float64),
        torch.stack([torch.diag(torch.tensor([1.0, 10.0])), torch.diag(torch.tensor([0.1, 2.0]))]).double(),
    )
    x = truth.sample(2000, torch.Generator().manual_seed(4))
    found = fit_mixture(x, torch.Generator().manual_seed(5)).mixture
    fresh = truth.sample(2000, torch.Generator().manual_seed(6))
    share = found.weights[found.means[:, 1] > 200].sum()
    assert abs(float(share) - 0.15) < 0.03
    assert float((truth.log_prob(fresh) - found.log_prob(fresh)).mean()) < 0.05


def test_fit_uses_a_start_and_stays_with_one_gaussian_for_a_gaussian():
    x = torch.randn(1000, 5, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    assert fit_mixture(x, torch.Generator().manual_seed(8)).mixture.weights.numel() <= 2
    truth = GaussianMixture(
        torch.full((25,), 0.04, dtype=torch.float64),
        torch.cartesian_prod(*2 * [torch.arange(-10.0, 11, 5)]).double(),
        0.5 * torch.eye(2, dtype=torch.float64).repeat(25, 1, 1),
    )
    grid = truth.sample(1000, torch.Generator().manual_seed(9))
    found = fit_mixture(grid, torch.Generator().manual_seed(10), initial=truth).mixture
    assert float((truth.log_prob(grid) - found.log_prob(grid)).mean()) < 0.05


def test_fit_needs_draws():
    with pytest.raises(ValueError, match="at least 8"):
        fit_mixture(torch.zeros(3, 2), None)


def test_safe_cholesky_gives_up_correlations_only_when_it_must():
    sound = torch.tensor([[4.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    broken = torch.tensor([[4.0, 3.0], [3.0, 1.0]], dtype=torch.float64)
    factors = safe_cholesky(torch.stack([sound, broken]))
    assert torch.allclose(factors[0] @ factors[0].mT, sound)
    assert torch.allclose(factors[1], torch.diag(torch.tensor([2.0, 1.0], dtype=torch.float64)))
