"""The warm-up of dear densities: right on a Gaussian after few calls, and no answer where weights do not vouch."""

import math
import time

import pytest
import torch

from amortized.mixtures.gaussian import GaussianMixture
from amortized.targets.callable import DensityTarget
from amortized.targets.cost import FULL_PLAN
from amortized.warmup import run
from amortized.warmup.run import warm_up
from amortized.warmup.short_plan import Pool
from amortized.warmup.tempering import Tempering


def dear(monkeypatch):
    monkeypatch.setattr(run, "calls_within", lambda *_: FULL_PLAN / 2)


def test_a_gaussian_is_right_after_few_calls(monkeypatch):
    dear(monkeypatch)
    target = DensityTarget(lambda x: -0.5 * ((x - 2.0) / 0.01).square().sum(-1), dim=3)
    found = warm_up(target, generator=torch.Generator().manual_seed(0))
    truth = 3 * math.log(0.01 * math.sqrt(2 * math.pi))
    assert found.trustworthy and found.status.startswith("few calls fit")
    assert abs(found.log_evidence.value - truth) < 4 * found.log_evidence.std_error
    # 1,024 weighted draws of an effective share over one half: five standard errors of their mean
    assert float((found.draws.mean(0) - 2.0).abs().max()) < 5 * 0.01 / math.sqrt(512)


def test_two_gaussians_keep_their_shares(monkeypatch):
    dear(monkeypatch)

    def density(x):
        return torch.logaddexp(
            math.log(0.7) - 0.5 * (x - 3).square().sum(-1), math.log(0.3) - 0.5 * (x + 3).square().sum(-1)
        )

    found = warm_up(DensityTarget(density, dim=2), generator=torch.Generator().manual_seed(0))
    share = float((found.draws[:, 0] > 0).double().mean())
    assert abs(share - 0.7) < 5 * math.sqrt(0.21 / 512)


def test_a_curved_density_is_fitted_again_until_its_weights_are_even(monkeypatch):
    """A ring of radius 5 and width 0.3: log Z = log(2π · 5), up to e⁻¹³⁹, by the mean of a radius that is normal."""
    dear(monkeypatch)

    def density(x):
        return -0.5 * ((x.norm(dim=-1) - 5.0) / 0.3).square() - math.log(0.3 * math.sqrt(2 * math.pi))

    found = warm_up(DensityTarget(density, dim=2), generator=torch.Generator().manual_seed(0))
    assert abs(found.log_evidence.value - math.log(10 * math.pi)) < 4 * found.log_evidence.std_error
    assert found.target_calls < FULL_PLAN
    # over a half of 1,024 weights are effective; a coordinate of the ring has a std of 5 / sqrt(2)
    assert float(found.draws.mean(0).abs().max()) < 5 * 3.54 / math.sqrt(512)


def test_a_pool_weighs_its_draws_by_all_laws_and_gives_the_evidence():
    """E[w] = Z for draws of two laws, of which neither is the target 3 N(0, 1)."""
    white = DensityTarget(lambda x: math.log(3.0) - 0.5 * (x.square() + math.log(2 * math.pi)).sum(-1), dim=1)
    modes = GaussianMixture(torch.ones(1), torch.zeros(1, 1).double(), torch.ones(1, 1, 1).double())
    shift, scale = torch.zeros(1).double(), torch.eye(1).double()
    pool = Pool(Tempering(white, modes, shift, scale, torch.Generator().manual_seed(0), lambda: False))
    for mean in (-1.0, 1.0):
        pool.add(GaussianMixture(modes.weights, modes.means + mean, modes.scale_trils), 4_000)
    weights = pool.log_weights().exp()
    assert len(weights) == 8_000
    assert abs(float(weights.mean()) - 3.0) < 5 * float(weights.std()) / math.sqrt(8_000)


def test_a_search_for_modes_that_is_cut_is_said_and_not_trusted(monkeypatch):
    """Two modes ask for 16,384 points at the least; a clock that runs on by 5 ms a call allows 30 s, or 6,000."""
    dear(monkeypatch)

    def density(x):
        return torch.logaddexp(-0.5 * (x - 3).square().sum(-1), -0.5 * (x + 3).square().sum(-1))

    target, clock = DensityTarget(density, dim=4), time.perf_counter
    monkeypatch.setattr(time, "perf_counter", lambda: clock() + 5e-3 * target.calls)
    found = warm_up(target, generator=torch.Generator().manual_seed(0), max_seconds=30.0)
    assert not found.trustworthy and "the search for modes at" in found.cut_short
    assert abs(found.log_evidence.value - math.log(2) - 2 * math.log(2 * math.pi)) < 0.2
    assert found.target_calls < 7_500  # 30 s are 6,000 calls, and the last batches have 256 at the least


@pytest.mark.slow
def test_a_density_that_sleeps_returns_near_its_seconds():
    def density(x):
        time.sleep(5e-3 * len(x))
        return -0.5 * x.square().sum(-1)

    began = time.perf_counter()
    warm_up(DensityTarget(density, dim=2), generator=torch.Generator().manual_seed(0), max_seconds=10.0)
    assert time.perf_counter() - began < 15.0
