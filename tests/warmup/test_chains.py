"""The warm-up takes its draws from chains that agree, and nothing from chains that do not."""

import math

import pytest
import torch

from amortized.mcmc.many_chains import CHAINS
from amortized.mixtures.gaussian import GaussianMixture
from amortized.targets.callable import DensityTarget
from amortized.warmup import warm_up
from amortized.warmup.budget import Budget
from amortized.warmup.chains import FEW_CHAINS, chain_starts, chains_at_modes, of_chains
from amortized.warmup.rays import normal_rays
from amortized.warmup.screening import Screening
from tests.known import seeded


def gaussian(dim):
    return DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim, torch.float64)


@pytest.mark.slow
def test_from_twenty_dimensions_the_draws_are_those_of_chains():
    target = gaussian(20)
    found = warm_up(target, draws=500, generator=seeded(), max_seconds=60.0)
    assert found.chains is not None and found.chains.converged and found.trustworthy, found.status
    rows = found.chains.draws.flatten(0, 1)
    assert (torch.cdist(found.draws[:20], rows).min(-1).values < 1e-6).all()  # cdist subtracts squares
    assert torch.allclose(found.log_prob, target.log_prob(found.draws), atol=1e-6)
    # the mixture is fitted to about 1,000 effective draws: 230 parameters cost some hundredths of a nat
    assert abs(found.log_evidence.value - 10 * math.log(2 * math.pi)) < 0.1
    # five standard errors of a mean of 1,000 effective draws, of which 500 are taken
    assert found.draws.mean(0).abs().max() < 5 * 500**-0.5


@pytest.mark.slow
def test_two_modes_that_chains_do_not_join_keep_the_weights_of_the_tempering():
    def density(x):
        return torch.logsumexp(torch.stack([-0.5 * (x - 6).square().sum(-1), -0.5 * (x + 6).square().sum(-1) - 1.0]), 0)

    found = warm_up(DensityTarget(density, 20, torch.float64), draws=500, generator=seeded(), max_seconds=60.0)
    assert found.chains is not None and not found.chains.converged
    assert "nothing is taken from them" in found.status
    share = float((found.draws.mean(-1) > 0).double().mean())
    assert abs(share - 1 / (1 + math.exp(-1))) < 0.1


def test_starts_are_dispersed_and_at_the_gaussians_by_their_mass():
    means = torch.stack([torch.full((4,), 50.0), torch.full((4,), -50.0)]).double()
    flattened = torch.tensor([0.0, -10.0], dtype=torch.float64).softmax(0)
    modes = GaussianMixture(flattened, means, torch.eye(4, dtype=torch.float64).expand(2, 4, 4))
    starts = chain_starts(gaussian(4), modes, seeded())
    assert starts.shape == (CHAINS, 4)
    assert (starts[:48].abs() <= 2).all() and (starts[48:] > 40).all()
    assert chain_starts(gaussian(4), None, seeded()).abs().max() <= 2


def test_starts_are_drawn_anew_where_the_density_is_zero():
    half = DensityTarget(
        lambda x: torch.where((x.abs() < 1).all(-1), -x.square().sum(-1), -torch.inf), 3, torch.float64
    )
    assert half.log_prob(chain_starts(half, None, seeded())).isfinite().all()


def test_draws_are_taken_once_from_all_chains():
    class Found:
        draws = torch.arange(24.0).reshape(4, 6, 1)
        log_prob = torch.arange(24.0).reshape(4, 6)

    x, log_prob = of_chains(Found, 24, seeded())  # pyright: ignore[reportArgumentType]
    assert x[:, 0].sort().values.tolist() == list(range(24)) and torch.equal(x[:, 0], log_prob)


def at_modes(target, means):
    """Chains of a density that allows 10,000 calls, from Gaussians of twice the true variance at ``means``."""
    means = torch.stack([torch.full((20,), mean) for mean in means]).double()
    scale_trils = 2**0.5 * torch.eye(20, dtype=torch.float64).expand(len(means), 20, 20)
    modes = GaussianMixture(torch.full((len(means),), 1 / len(means)).double(), means, scale_trils)
    budget = Budget(target, 10_000, 60.0, Screening(target, normal_rays, 60.0, seeded()), progress=True)
    return chains_at_modes(target, modes, 0.8, seeded(1), budget)


def test_an_expensive_density_has_few_chains_with_the_curvature_as_their_metric(capsys):
    target = gaussian(20)
    found = at_modes(target, [0.0])
    assert capsys.readouterr().out.startswith("warm-up: 16 chains start, for at most 48 s")
    assert found is not None and found.draws.shape[0] == FEW_CHAINS and found.converged, found.status
    assert target.calls < 10_000
    x = found.draws.flatten(0, 1)
    # four standard errors of a mean and of a std, for the largest of 20 coordinates
    assert x.mean(0).abs().max() < 4 / found.ess**0.5
    assert (x.std(0) - 1).abs().max() < 4 / (2 * found.ess) ** 0.5


def test_modes_of_an_expensive_density_that_chains_do_not_join_are_seen():
    def density(x):
        return torch.logsumexp(torch.stack([-0.5 * (x - 3).square().sum(-1), -0.5 * (x + 3).square().sum(-1)]), 0)

    found = at_modes(DensityTarget(density, 20, torch.float64), [3.0, -3.0])
    assert found is not None and not found.usable, found.status
