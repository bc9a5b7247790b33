"""What is handed on becomes a reference in whitened coordinates: the product where there is one, else the mixture."""

from dataclasses import replace

import torch

from amortized.mixtures.gaussian import GaussianMixture
from amortized.mixtures.product import ProductMixture
from amortized.processes.mixture_reference import MixtureReference
from amortized.processes.product_reference import ProductReference
from amortized.warmup import WarmUp
from amortized.weights import Estimate

SHIFT = torch.tensor([2.0, -1.0], dtype=torch.float64)
FACTOR = torch.tensor([[2.0, 0.0], [1.0, 3.0]], dtype=torch.float64)
STANDARD = torch.zeros(1, 2, dtype=torch.float64)


def test_both_laws_are_standard_in_whitened_coordinates():
    one = torch.ones(2, 1, dtype=torch.float64)
    product = ProductMixture(one, 0 * one, one, SHIFT, FACTOR)
    mixture = GaussianMixture(torch.ones(1, dtype=torch.float64), SHIFT[None], FACTOR[None])
    warm = WarmUp(STANDARD, STANDARD[:, 0], SHIFT, FACTOR, mixture, product, Estimate(0.0, 0.0), True, "", 0, 0.0)
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
    assert isinstance(warm.reference(), ProductReference)
    joint = replace(warm, product=None).reference()
    assert isinstance(joint, MixtureReference)
    torch.testing.assert_close(warm.reference().score(x), -x)
    torch.testing.assert_close(joint.score(x), -x)
