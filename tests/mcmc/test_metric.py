"""Metrics: exact on Gaussians even from draws that are not theirs, and products of low-rank factors."""

import pytest
import torch

from amortized.mcmc import hmc
from amortized.mcmc.metric import LowRank, geometric_metric, times, transposed_times
from tests.known import seeded


def dense(factor):
    return times(torch.eye(len(factor.std), dtype=torch.float64), factor).mT


def low_rank(dim=6, rank=2):
    generator = seeded()
    vectors = torch.linalg.qr(torch.randn(dim, rank, generator=generator, dtype=torch.float64)).Q
    std = torch.rand(dim, generator=generator, dtype=torch.float64) + 0.5
    return LowRank(std, vectors, torch.tensor([2.0, -0.5], dtype=torch.float64))


def test_products_of_a_low_rank_factor_are_those_of_its_matrix():
    factor, rows = low_rank(), torch.randn(3, 6, generator=seeded(1), dtype=torch.float64)
    matrix = factor.std[:, None] * (torch.eye(6) + (factor.vectors * factor.gains) @ factor.vectors.mT)
    assert torch.allclose(times(rows, factor), rows @ matrix.mT)
    assert torch.allclose(transposed_times(rows, factor), rows @ matrix)


def test_a_step_of_low_rank_is_that_of_its_matrix():
    factor, normal = low_rank(), lambda x: (-0.5 * x.square().sum(-1), -x)
    state = hmc.init(normal, torch.ones(4, 6, dtype=torch.float64))
    size = torch.tensor(0.1, dtype=torch.float64)
    one, _ = hmc.step(normal, state, size, factor, 3, seeded())
    other, _ = hmc.step(normal, state, size, dense(factor), 3, seeded())
    assert torch.allclose(one.x, other.x)


@pytest.mark.parametrize("spread", [0.1, 10.0])
def test_the_geometric_mean_of_a_gaussian_is_its_covariance_even_of_other_draws(spread):
    generator = seeded()
    root = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    covariance = root @ root.mT + 0.1 * torch.eye(5)
    x = spread * torch.randn(100_000, 5, generator=generator, dtype=torch.float64)
    factor = geometric_metric(x, -x @ torch.linalg.inv(covariance)).factor
    # scores are clipped at five stds, one in two million, and 5 in 100,005 of each covariance is its diagonal alone
    assert torch.allclose(factor @ factor.mT, covariance, rtol=0.02, atol=0.02)
