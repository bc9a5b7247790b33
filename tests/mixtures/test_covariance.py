"""Which correlations survive: real ones do, those that noise explains do not."""

import torch

from amortized.mixtures.covariance import significant_scale_tril


def draws(count, dim, seed=0):
    return torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_independent_coordinates_get_a_diagonal_with_their_deviations():
    # Deviations to five standard errors of 1/√(2N).
    x = draws(2000, 40) * torch.logspace(-2, 2, 40, dtype=torch.float64)
    factor = significant_scale_tril(x)
    assert torch.equal(factor, factor.diagonal().diag())
    assert (factor.diagonal() / torch.logspace(-2, 2, 40, dtype=torch.float64) - 1).abs().max() < 0.08


def test_a_correlated_pair_stays_and_leaves_the_others_alone():
    x = draws(1000, 10)
    x[:, 7] += 0.5 * x[:, 2]
    factor = significant_scale_tril(x)
    assert (factor - factor.diagonal().diag()).nonzero().tolist() == [[7, 2]]
    pair = torch.cov(x[:, [2, 7]].T, correction=0)
    torch.testing.assert_close((factor @ factor.mT)[[2, 7]][:, [2, 7]], pair, rtol=1e-6, atol=1e-8)


def test_many_small_correlations_are_kept_together():
    # Each is .1, hardly over its threshold, but their mean square is 4.5 times that of noise.
    x = draws(2000, 20) + draws(2000, 1, seed=1) / 3
    assert (significant_scale_tril(x).tril() != 0).sum() == 210


def test_more_coordinates_than_draws_still_have_a_factor():
    factor = significant_scale_tril(draws(30, 50) @ draws(50, 50, seed=1))
    assert bool(factor.isfinite().all()) and bool((factor.diagonal() > 0).all())
