"""The warm-up in hundreds of dimensions: correlated Gaussians exactly, wells along axes with their weights."""

import math

import pytest
import torch

from amortized.targets.callable import DensityTarget
from amortized.warmup import warm_up
from amortized.warmup.budget import Budget
from amortized.warmup.high_dimension import many_dimensions
from amortized.warmup.rays import normal_rays
from amortized.warmup.screening import Screening


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def many_wells(dim):
    def density(x):
        well, flat = x[:, ::2], x[:, 1::2]
        return (-well.pow(4) + 6 * well.square() + 0.5 * well - 0.5 * flat.square()).sum(-1)

    return DensityTarget(density, dim, torch.float64)


def test_a_correlated_gaussian_with_its_evidence():
    """256 draws give one standard error of 1/16 sd in each of 120 means; log Z is exact where the fit is."""
    mixing = torch.eye(120, dtype=torch.float64) + 0.03 * torch.randn(120, 120, generator=seeded(1)).double()
    factor = mixing.tril() * torch.logspace(-1, 1, 120, dtype=torch.float64)
    inverse = torch.linalg.inv(factor)
    target = DensityTarget(lambda x: -0.5 * ((x - 3) @ inverse.mT).square().sum(-1), 120, torch.float64)
    found = warm_up(target, draws=256, generator=seeded())
    log_z = 60 * math.log(2 * math.pi) + float(factor.diagonal().log().sum())
    assert found.trustworthy and abs(found.log_evidence.value - log_z) < 0.3, found.status
    white = torch.linalg.solve_triangular(factor, (found.draws - 3).mT, upper=False).mT
    assert white.mean(0).abs().max() < 5 / 16
    assert torch.allclose(found.log_prob, target.log_prob(found.draws), atol=1e-6)


def test_wells_along_axes_get_their_weights():
    """0.844 on the right in each of ten blocks: the binomial error of 1,000 draws is 1.2 points, 4 allow for ten."""
    target = many_wells(20)
    found = many_dimensions(
        target, 1000, seeded(), Budget(target, math.inf, math.inf, Screening(target, normal_rays, math.inf, None))
    )
    assert found.product is not None
    assert ((found.draws[:, ::2] > 0).double().mean(0) - 0.84431).abs().max() < 0.04
    assert abs(found.log_evidence.value - 10 * 10.2934797) < 0.1


def test_an_improper_density_is_refused():
    with pytest.raises(ValueError, match="improper"):
        warm_up(DensityTarget(lambda x: x.square().sum(-1), 101, torch.float64), generator=seeded())
