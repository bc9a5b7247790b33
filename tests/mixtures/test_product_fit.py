"""Products fitted to draws: the number of wells, their weights, the axes, and what is left as it was."""

import math

import pytest
import torch

from amortized.mixtures.product_fit import correct_product, fit_product


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def wells(count, dim, share=0.8):
    right = torch.rand(count, dim, generator=seeded(1)) < share
    return torch.where(right, 2.0, -2.0) + 0.4 * torch.randn(count, dim, generator=seeded(2), dtype=torch.float64)


def test_every_well_gets_its_weight_and_gaussians_stay_single():
    """Weights as in the draws themselves; the wells are five stds apart."""
    x = torch.cat([wells(2000, 6), torch.randn(2000, 6, generator=seeded(3), dtype=torch.float64)], 1)
    product = fit_product(x, seeded()).product
    assert (product.weights > 0).sum(-1).tolist()[6:] == 6 * [1]
    right = (product.weights * (product.means > 0)).sum(-1)[:6]
    centre = product.unwhiten(torch.zeros(1, 12, dtype=torch.float64))[0]
    shares = product.weights * (product.shift[:, None] + product.scale_tril.diagonal()[:, None] * product.means > 0)
    assert (shares.sum(-1)[:6] - (x[:, :6] > 0).double().mean(0)).abs().max() < 1e-3
    assert right.min() > 0.5 and torch.equal(centre, product.shift)


def test_held_out_value_is_that_of_fresh_draws():
    """Half of 2,000 draws judge: five standard errors of a log density of std √3."""
    x = torch.randn(2000, 6, generator=seeded(4), dtype=torch.float64)
    fitted = fit_product(x, seeded())
    fresh = torch.randn(20_000, 6, generator=seeded(5), dtype=torch.float64)
    assert abs(fitted.held_out - float(fitted.product.log_prob(fresh).mean())) < 5 * (3 / 1000) ** 0.5


def test_correlated_draws_get_rotated_axes():
    x = torch.randn(1000, 3, generator=seeded(6), dtype=torch.float64)
    x[:, 2] += 3 * x[:, 0]
    product = fit_product(x, seeded()).product
    assert float(product.scale_tril[2, 0].abs()) > 1 and (product.weights > 0).sum() == 3


def test_what_is_standard_stays_and_the_rest_is_corrected():
    u = torch.randn(1000, 200, generator=seeded(7), dtype=torch.float64)
    u[:, :3] = wells(1000, 3)
    u[:, 3] = 1 + 0.5 * u[:, 3]
    product = correct_product(u, seeded()).product
    scale = product.scale_tril.diagonal()
    assert (product.shift[4:] == 0).double().mean() > 0.9  # each is touched with chance 2 %
    assert abs(float(product.shift[3]) - 1) < 0.1 and abs(float(scale[3]) - 0.5) < 0.06
    assert (scale[:3] - u[:, :3].std(0)).abs().max() < 0.02
    moments = (product.weights * product.means).sum(-1), (product.weights * product.means.square()).sum(-1)
    torch.testing.assert_close(moments[0], torch.zeros(200, dtype=torch.float64), atol=1e-9, rtol=0)
    second = moments[1] + (product.weights * product.stds.square()).sum(-1)
    torch.testing.assert_close(second, torch.ones(200, dtype=torch.float64))


def test_too_few_draws_are_refused():
    with pytest.raises(ValueError, match="at least 16"):
        fit_product(torch.zeros(8, 2), None)


def test_what_it_says_of_unseen_draws_is_their_density_in_the_draws_own_units():
    """N(0, diag(0.1, 100)²), tilted: mean log density −entropy, to five errors of its 2,000 held-out terms."""
    factor = torch.tensor([[0.1, 0.0], [60.0, 80.0]], dtype=torch.float64)
    x = torch.randn(4_000, 2, generator=seeded(), dtype=torch.float64) @ factor.mT
    found = fit_product(x, seeded())
    entropy = 1 + math.log(2 * math.pi) + float(factor.diagonal().log().sum())
    assert found.held_out == pytest.approx(-entropy, abs=5 / 2_000**0.5 + 0.02)
