"""The Gaussian of every context, against torch's own."""

import pytest
import torch

from amortized.policies.conditional_gaussian import FULL_UP_TO, ConditionalGaussian
from tests.known import SameFeatures, perturbed, seeded

SHIFT, SCALE = torch.tensor([1.0, -2.0, 30.0]), torch.tensor([0.1, 1.0, 20.0])


@pytest.mark.parametrize("full", [None, True, False])
@pytest.mark.parametrize("dim", [1, 3])
def test_its_density_is_that_of_the_normal_it_gives(dim, full, in_double_precision):
    gaussian = ConditionalGaussian(SameFeatures(2), SHIFT[:dim].double(), SCALE[:dim].double(), full)
    perturbed(gaussian, 0.2)
    context, x = torch.randn(5, 2, generator=seeded()), SHIFT[:dim] + SCALE[:dim] * torch.randn(5, dim)
    mean, scale_tril = gaussian(context)
    assert mean.shape == (5, dim) and scale_tril.shape == (5, dim, dim)
    assert torch.equal(scale_tril, scale_tril.tril()) and (scale_tril.diagonal(dim1=-2, dim2=-1) > 0).all()
    normal = torch.distributions.MultivariateNormal(mean, scale_tril=scale_tril)
    torch.testing.assert_close(gaussian.log_prob(x, context), normal.log_prob(x))
    assert mean.std(0).min() > 0
    off_diagonal = scale_tril.tril(-1).abs().max()
    assert off_diagonal > 0 if full is not False and dim > 1 else off_diagonal == 0


def test_a_fresh_one_is_the_same_for_every_context():
    gaussian = ConditionalGaussian(SameFeatures(2), SHIFT, SCALE)
    mean, scale_tril = gaussian(torch.randn(4, 2))
    assert torch.equal(mean, SHIFT.expand(4, 3)) and torch.equal(scale_tril, torch.diag(SCALE).expand(4, 3, 3))


def test_a_full_triangle_up_to_a_number_of_dimensions():
    sizes = [ConditionalGaussian(SameFeatures(2), torch.zeros(d), torch.ones(d)).head.out_features for d in (3, 64, 65)]
    assert FULL_UP_TO == 64 and sizes == [9, 2 * 64 + 64 * 63 // 2, 130]


def test_every_weight_gets_a_gradient():
    gaussian = perturbed(ConditionalGaussian(SameFeatures(2), SHIFT, SCALE), 0.1)
    gaussian.log_prob(torch.randn(64, 3), torch.randn(64, 2)).sum().backward()
    for name, parameter in gaussian.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name
