"""BFGS: exact on ill-scaled Gaussians, finds separate modes, survives walls."""

import math

import torch

from amortized.optimise.bfgs import ascend_bfgs
from amortized.optimise.gaussians import distinct, refine


def starts(count, dim, scale=3.0, seed=0):
    return scale * torch.randn(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_an_ill_scaled_gaussian_gives_its_own_moments_and_evidence():
    sd = torch.logspace(-2, 2, 12, dtype=torch.float64)
    mean = 100 * sd

    def density(x):
        z = (x - mean) / sd
        return -0.5 * z.square().sum(-1), -z / sd

    generator = torch.Generator().manual_seed(0)
    best = ascend_bfgs(density, starts(8, 12), generator).best
    found = refine(density, best, generator)
    assert found.elbo.numel() == 1
    assert ((found.mean[0] - mean) / sd).abs().max() < 1e-3
    covariance = found.scale_tril[0] @ found.scale_tril[0].mT
    # Newton steps end when the bound rises by less than 0.02 nats a dimension: (r − 1 − log r) / 2 = 0.02 at r = 1.3.
    assert (covariance / (sd * sd[:, None]) - torch.eye(12)).abs().max() < 0.3
    assert abs(float(found.elbo[0]) - float(sd.log().sum()) - 6 * math.log(2 * math.pi)) < 0.02 * 12


def test_two_modes_are_told_apart():
    def density(x):
        terms = torch.stack([-0.5 * (x - 4).square().sum(-1), -2 * (x + 4).square().sum(-1)])
        share = terms.softmax(0)
        return terms.logsumexp(0), -share[0, :, None] * (x - 4) - 4 * share[1, :, None] * (x + 4)

    generator = torch.Generator().manual_seed(0)
    best = ascend_bfgs(density, starts(24, 3, 5.0), generator).best
    found = refine(density, best, generator)
    assert sorted(round(float(value)) for value in found.mean[:, 0]) == [-4, 4]
    assert distinct(found).tolist() == [0, 1]


def test_a_wall_of_minus_infinity_stops_no_chain():
    def density(x):
        inside = x[:, 0] > 0
        value = x[:, 0].clamp(min=1e-300).log() - x[:, 0] - 0.5 * x[:, 1].square()
        score = torch.stack([1 / x[:, 0] - 1, -x[:, 1]], -1)
        return torch.where(inside, value, -torch.inf), torch.where(inside[:, None], score, 0.0)

    state = ascend_bfgs(density, starts(6, 2).abs(), torch.Generator().manual_seed(0)).state
    assert torch.allclose(state.x, torch.tensor([1.0, 0.0], dtype=torch.float64).expand(6, 2), atol=1e-2)


def test_a_short_first_step_stays_in_a_narrow_basin():
    """A spike of std .01 at 1, below the optimum at 0: a first step of 1 leaves its basin, one of .001 does not."""

    def density(x):
        terms = torch.stack([20 - 20 * x.square().sum(-1), 4 - 0.5 * ((x - 1) / 0.01).square().sum(-1)])
        share = terms.softmax(0)
        return terms.logsumexp(0), -40 * share[0, :, None] * x - share[1, :, None] * (x - 1) / 1e-4

    start = torch.full((1, 1), 1.01, dtype=torch.float64)
    for length, optimum in ((None, 0.0), (torch.tensor([1e-3], dtype=torch.float64), 1.0)):
        state = ascend_bfgs(density, start, torch.Generator().manual_seed(0), first_step=length).state
        assert abs(float(state.x) - optimum) < 1e-3
