"""The nearest Gaussian: exact for a Gaussian, the known optimum for a skewed density."""

import math

import torch

from amortized.optimise.averaged_hessian import nearest_gaussian


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_gaussian_is_found_with_its_evidence():
    mixing = torch.randn(30, 30, generator=seeded(1), dtype=torch.float64) / 4 + torch.eye(30, dtype=torch.float64)
    precision, centre = mixing @ mixing.mT, torch.arange(30.0, dtype=torch.float64)

    def density(x):
        score = -(x - centre) @ precision
        return 0.5 * ((x - centre) * score).sum(-1) - 15 * math.log(2 * math.pi), score

    found = nearest_gaussian(density, centre, 0.3, seeded())
    torch.testing.assert_close(
        found.scale_tril[0] @ found.scale_tril[0].mT @ precision, torch.eye(30, dtype=torch.float64)
    )
    assert abs(float(found.elbo) + 0.5 * float(torch.logdet(precision))) < 1e-6


def test_a_skewed_density_reaches_its_own_optimum():
    """R = exp(2x − eˣ), log Z = 0: at the optimum E_q[eˣ] = 2 and 1/v = E_q[eˣ] = 2, so v = .5, m = log 2 − .25.

    The Hessian is averaged over up to 32 points, the score over 64 antithetic ones: errors of about 0.1.
    """
    found = nearest_gaussian(
        lambda x: ((2 * x - x.exp()).sum(-1), 2 - x.exp()), torch.full((40,), math.log(2.0)).double(), 0.3, seeded()
    )
    assert abs(float(found.mean.mean()) - (math.log(2) - 0.25)) < 0.05
    assert abs(float(found.scale_tril[0].diagonal().square().mean()) - 0.5) < 0.05
    best = 40 * (2 * (math.log(2) - 0.25) - 2 + 0.5 * math.log(2 * math.pi * math.e * 0.5))
    assert best - 1.0 < float(found.elbo) < best + 1.0
