"""The product's density, draws and affine maps, against each other and the normal law."""

import torch

from amortized.mixtures.product import ProductMixture


def law() -> ProductMixture:
    return ProductMixture(
        torch.tensor([[0.25, 0.75], [1.0, 0.0]], dtype=torch.float64),
        torch.tensor([[-2.0, 2.0], [1.0, 0.0]], dtype=torch.float64),
        torch.tensor([[0.5, 1.0], [2.0, 1.0]], dtype=torch.float64),
        torch.tensor([3.0, -1.0], dtype=torch.float64),
        torch.tensor([[2.0, 0.0], [0.5, 1.0]], dtype=torch.float64),
    )


def test_the_density_integrates_to_one():
    line = torch.linspace(-25, 25, 801, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    total = law().log_prob(grid).logsumexp(0).exp() * (line[1] - line[0]) ** 2
    assert abs(float(total) - 1) < 1e-6


def test_draws_have_the_moments_of_the_density():
    """Mean of u: (1, 1), so of x: (5, 0.5). 40,000 draws, five standard errors of a std of about 4.5."""
    x = law().sample(40_000, torch.Generator().manual_seed(0))
    assert (x.mean(0) - torch.tensor([5.0, 0.5])).abs().max() < 0.12
    assert abs(float((x[:, 0] < 3).double().mean()) - 0.25 - 0.75 * 0.0228) < 0.013


def test_affine_maps_go_there_and_back():
    shift = torch.tensor([1.0, 2.0], dtype=torch.float64)
    factor = torch.tensor([[3.0, 0.0], [1.0, 0.5]], dtype=torch.float64)
    x = law().sample(5, torch.Generator().manual_seed(1))
    moved = law().affine(shift, factor)
    log_det = factor.diagonal().log().sum()
    torch.testing.assert_close(moved.log_prob(shift + x @ factor.mT), law().log_prob(x) - log_det)
    torch.testing.assert_close(moved.inverse_affine(shift, factor).log_prob(x), law().log_prob(x))


def test_widened_is_a_mixture_of_whole_products():
    x = law().sample(5, torch.Generator().manual_seed(2))
    same = law().widened((1.0, 1.0), (0.3, 0.7))
    torch.testing.assert_close(same.log_prob(x), law().log_prob(x))
    assert law().widened((1.0, 3.0), (0.5, 0.5)).sample(7, torch.Generator().manual_seed(3)).shape == (7, 2)
