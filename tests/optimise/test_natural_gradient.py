"""The nearest mixture: exact where the density is one, nearer where not, unharmed by draws without density."""

import torch

from amortized.mixtures.gaussian import GaussianMixture
from amortized.optimise.natural_gradient import nearest_mixture
from tests.known import seeded


def divergence(log_prob, mixture, count=20_000):
    """KL(mixture ‖ target) for a normalized target, and its standard error."""
    x = mixture.sample(count, seeded(9))
    excess = mixture.log_prob(x) - log_prob(x)
    return float(excess.mean()), float(excess.std()) / count**0.5


def standard(count, dim, spread=0.0):
    means = spread * torch.randn(count, dim, generator=seeded(3), dtype=torch.float64)
    return GaussianMixture(torch.ones(count).double() / count, means, torch.eye(dim).double().repeat(count, 1, 1))


def funnel(x):
    """log_scale ~ N(0, 1.5²), two coordinates N(0, exp(log_scale)²), with the score; log Z = 0."""
    scale, others = x[:, 0], x[:, 1:]
    narrow = others.square() * (-2 * scale)[:, None].exp()
    constant = 1.5 * torch.log(torch.tensor(2 * torch.pi)) + torch.log(torch.tensor(1.5))
    value = -scale.square() / 4.5 - 0.5 * narrow.sum(-1) - 2 * scale - constant
    along = -scale / 2.25 + narrow.sum(-1) - 2
    return value, torch.cat([along[:, None], -others * (-2 * scale)[:, None].exp()], -1)


def test_one_gaussian_is_found_exactly():
    """h is then constant at the optimum, its gradient 0 in every draw: no Monte Carlo error is left."""
    factor = torch.tensor([[0.1, 0.0], [2.0, 3.0]]).double()
    exact = GaussianMixture(torch.ones(1).double(), torch.tensor([[5.0, -20.0]]).double(), factor[None])
    found = nearest_mixture(exact.log_prob_and_score, standard(1, 2), seeded(), steps=200)
    torch.testing.assert_close(found.mixture.means, exact.means, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.mixture.scale_trils, exact.scale_trils, rtol=1e-3, atol=1e-3)
    assert (found.steps, found.not_finite) == (200, 0)


def test_two_modes_keep_their_unequal_weights():
    """Eight standard deviations apart; as above no noise is left at the optimum, weights included."""
    means = torch.tensor([[-4.0, 0.0], [4.0, 0.0]]).double()
    factors = torch.stack([torch.eye(2), 0.5 * torch.eye(2)]).double()
    exact = GaussianMixture(torch.tensor([0.05, 0.95]).double(), means, factors)
    start = GaussianMixture(torch.tensor([0.5, 0.5]).double(), means + 1, 0.7 * torch.eye(2).double().repeat(2, 1, 1))
    found = nearest_mixture(exact.log_prob_and_score, start, seeded(), steps=300).mixture
    torch.testing.assert_close(found.weights, exact.weights, rtol=0.02, atol=0.0)
    torch.testing.assert_close(found.means, means, rtol=0.0, atol=0.02)


def test_a_funnel_comes_nearer():
    """Standard errors of both divergences are under .02 where they end, so a fifth is far from chance."""
    start = standard(12, 3, spread=1.0)
    before, _ = divergence(lambda x: funnel(x)[0], start)
    after, error = divergence(lambda x: funnel(x)[0], nearest_mixture(funnel, start, seeded(), steps=200).mixture)
    assert after + 3 * error < 0.2 * before and after < 0.2


def test_draws_without_density_are_counted_and_survived():
    """A standard normal cut to x > −1: the mean moves up, nothing breaks."""

    def cut(x):
        value = torch.where(x[:, 0] > -1, -0.5 * x.square().sum(-1), -torch.inf)
        return value, torch.where(x > -1, -x, torch.nan)

    found = nearest_mixture(cut, standard(3, 1, spread=0.5), seeded(), steps=50)
    assert found.not_finite > 0
    assert found.mixture.means.isfinite().all() and (found.mixture.scale_trils > 0).all()
    assert abs(float(found.mixture.weights.sum()) - 1) < 1e-9


def test_a_density_that_is_finite_nowhere_moves_nothing():
    start = standard(2, 3)
    nowhere = nearest_mixture(lambda x: (x.sum(-1) * torch.nan, x * torch.nan), start, seeded(), steps=5)
    torch.testing.assert_close(nowhere.mixture.means, start.means)
    torch.testing.assert_close(nowhere.mixture.scale_trils, start.scale_trils)
    assert nowhere.not_finite == 5 * 2 * 32


def test_covariances_stay_positive_definite_where_the_density_is_flat_or_steep():
    for factor in (1e-12, 1e12):

        def density(x, factor=factor):
            return -factor * x.square().sum(-1), -2 * factor * x

        found = nearest_mixture(density, standard(4, 2, spread=1.0), seeded(), steps=100)
        diagonal = found.mixture.scale_trils.diagonal(dim1=-2, dim2=-1)
        assert diagonal.isfinite().all() and (diagonal > 0).all()


def test_time_ends_it_and_the_seed_fixes_it():
    exact = standard(1, 2)
    start = standard(3, 2, spread=2.0)
    assert nearest_mixture(exact.log_prob_and_score, start, seeded(), steps=10**9, seconds=0.05).steps < 10_000
    one, same = (nearest_mixture(exact.log_prob_and_score, start, seeded(), steps=3).mixture for _ in range(2))
    torch.testing.assert_close(one.means, same.means, rtol=0.0, atol=0.0)
