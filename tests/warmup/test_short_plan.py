"""The warm-up of dear densities: right on a Gaussian after few calls, and no answer where weights do not vouch."""

import math
import time

import pytest
import torch

from amortized.targets.callable import DensityTarget
from amortized.targets.cost import FULL_PLAN
from amortized.warmup import run
from amortized.warmup.run import warm_up


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


@pytest.mark.slow
def test_a_density_that_sleeps_returns_near_its_seconds():
    def density(x):
        time.sleep(5e-3 * len(x))
        return -0.5 * x.square().sum(-1)

    began = time.perf_counter()
    warm_up(DensityTarget(density, dim=2), generator=torch.Generator().manual_seed(0), max_seconds=10.0)
    assert (
        time.perf_counter() - began < 20.0
    )  # 16.7 s: the screening times a density by processor time, which sleep is not
