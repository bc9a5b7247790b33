"""The product reference against the joint mixture, autograd and its limits."""

import pytest
import torch

from amortized.processes.mixture_reference import MixtureReference
from amortized.processes.product_reference import ProductReference

WEIGHTS = torch.tensor([[0.3, 0.7], [1.0, 0.0]])
MEANS = torch.tensor([[-2.0, 1.0], [0.5, 0.0]])
DEVIATIONS = torch.tensor([[0.5, 0.8], [2.0, 1.0]])


def both() -> tuple[ProductReference, MixtureReference]:
    """Two wells in the first coordinate, one in the second: the same law as two joint components."""
    means = torch.tensor([[-2.0, 0.5], [1.0, 0.5]])
    factors = torch.diag_embed(torch.tensor([[0.5, 2.0], [0.8, 2.0]]))
    joint = MixtureReference(WEIGHTS[0], means, factors)
    return ProductReference(WEIGHTS, MEANS, DEVIATIONS), joint


def test_belief_and_score_are_those_of_the_joint_mixture(in_double_precision):
    """Tables in single precision, hence 1e-5."""
    product, joint = both()
    x = 2 * torch.randn(3, 5, 2)
    signal, noise = torch.rand(3, 1, 1), torch.rand(3, 1, 1)
    for found, expected in zip(product.belief(x, signal, noise), joint.belief(x, signal, noise), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(product.score(x), joint.score(x), rtol=1e-4, atol=1e-5)


def test_no_noise_leaves_no_doubt_and_no_signal_leaves_the_mixture(in_double_precision):
    product, joint = both()
    x = torch.randn(5, 2)
    mean, variance = product.belief(x, torch.tensor(1.0), torch.tensor(0.0))
    torch.testing.assert_close(mean, x, rtol=1e-5, atol=1e-5)
    assert variance.abs().max() < 1e-5
    for found, expected in zip(
        product.belief(x, torch.tensor(0.0), torch.tensor(1.0)),
        joint.belief(x, torch.tensor(0.0), torch.tensor(1.0)),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_deviation_of_zero_is_refused():
    with pytest.raises(ValueError, match="must be positive"):
        ProductReference(WEIGHTS, MEANS, 0 * DEVIATIONS)
