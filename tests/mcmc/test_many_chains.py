"""Many chains: exact moments of known targets, exact draws that stay exact, and an R-hat that sees what is missed."""

import pytest
import torch

from amortized.mcmc import chain_record, many_chains
from amortized.mcmc.chain_adaptation import Kernel
from amortized.mcmc.convergence import drift
from amortized.mcmc.many_chains import CHAINS, chains_from, run_chains
from amortized.mcmc.metric import Metric
from amortized.targets.callable import DensityTarget
from amortized.warmup.starts import uniform_starts
from tests.known import seeded


def correlated(dim, seed=0):
    """N(0, C) with variances from 0.01 to 10 along random axes; the target and C."""
    generator = seeded(seed)
    axes = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64)).Q
    covariance = (axes * torch.logspace(-2, 1, dim, dtype=torch.float64)) @ axes.mT
    precision = torch.linalg.inv(covariance)
    return DensityTarget(lambda x: -0.5 * ((x @ precision) * x).sum(-1), dim, torch.float64), covariance


def chains_of(target, seconds=20.0, seed=0):
    return run_chains(target, uniform_starts(target, CHAINS, seed), seconds, seeded(seed))


def test_a_correlated_gaussian_has_its_moments():
    target, covariance = correlated(30)
    found = chains_of(target)
    std = covariance.diagonal().sqrt()
    assert (
        found.converged and "R-hat" in found.status and found.target_calls == target.calls - CHAINS
    )  # the starts' own
    x = found.draws.flatten(0, 1)
    assert torch.allclose(found.log_prob, target.log_prob(x).reshape(found.log_prob.shape))
    # five standard errors of a mean, and of a std, for the largest of 30 coordinates
    assert (x.mean(0) / std).abs().max() < 5 / found.ess**0.5
    assert (x.std(0) / std - 1).abs().max() < 5 / (found.ess / 2) ** 0.5


def test_exact_draws_stay_exact_and_do_not_drift():
    target, covariance = correlated(10)
    exact = torch.randn(512, 10, generator=seeded(1), dtype=torch.float64) @ torch.linalg.cholesky(covariance).mT
    found = chains_from(exact, target, 20.0, seeded())
    radius = torch.einsum("cnd,de,cne->cn", found.draws, torch.linalg.inv(covariance), found.draws)
    # E = D and std √(2 D); with 64 chains that are worth a draw each at the least
    assert abs(float(radius[:, :10].mean()) - 10) < 4 * (20 / 64) ** 0.5
    assert found.converged and found.drift < 4.5  # the chance of 10 normal z-values over 4.5 is 7e-5


def test_chains_that_leave_their_starts_are_seen_to_drift():
    target = DensityTarget(lambda x: -0.5 * x.square().sum(-1), 2, torch.float64)
    kernel = Kernel(Metric("none", torch.ones(2, dtype=torch.float64)), torch.tensor(0.03, dtype=torch.float64))
    record = chain_record.Recorder(target, kernel, seeded())
    starts = 3.0 + torch.randn(64, 2, generator=seeded(1), dtype=torch.float64)
    record.run(many_chains.init(chain_record.in_float64(target), starts), 16, lambda: False)
    assert drift(record.draws()[0]) > 4.5


def test_single_chains_show_modes_that_they_do_not_join():
    def density(x):
        return torch.logsumexp(torch.stack([-0.5 * (x - 10).square().sum(-1), -0.5 * (x + 10).square().sum(-1)]), 0)

    starts = torch.cat([torch.full((32, 3), 10.0), torch.full((32, 3), -10.0)])
    found = run_chains(DensityTarget(density, 3, torch.float64), starts, 60.0, seeded(), max_calls=100_000)
    # the ranks of two equal modes far apart have √(1 / (1 − 2 / π)) = 1.66
    assert found.rhat > 1.5 and not found.converged and "should be below" in found.status
    # groups with half of each kind agree: the averages of groups see nothing
    groups = found.draws[torch.arange(64).reshape(2, 32).mT.flatten()].unflatten(0, (-1, 2)).mean(1)
    assert many_chains.rank_normalized_rhat(groups) < found.rhat


def test_chains_go_on_with_the_same_kernel():
    target, _ = correlated(4)
    found = chains_of(target)
    more = found.continued(target, 7, seeded(5))
    assert more.draws.shape[1] == found.draws.shape[1] + 7 and more.kernel is found.kernel
    assert torch.equal(more.draws[:, : found.draws.shape[1]], found.draws)
    others = found.kernel_moves(target, torch.zeros(5, 4, dtype=torch.float64), 3, seeded(), lambda: False)
    assert others.shape == (5, 3, 4)


def test_the_clock_and_the_calls_end_the_chains():
    target, _ = correlated(30)
    short = run_chains(target, uniform_starts(target, CHAINS, 0), 60.0, seeded(), max_calls=5_000)
    assert short.target_calls < 5_000 + 4 * 16 * CHAINS * 4 and not short.converged


def test_many_draws_are_thinned(monkeypatch):
    monkeypatch.setattr(chain_record, "MOST_NUMBERS", 64 * 30 * 20)
    target, _ = correlated(30)
    record = chain_record.Recorder(target, chains_of(target, 1.0).kernel, seeded(), most=64 * 30 * 20)
    record.run(many_chains.init(chain_record.in_float64(target), uniform_starts(target, CHAINS, 0)), 90, lambda: False)
    assert record.thin == 8 and record.draws()[0].shape[1] <= 20


@pytest.mark.slow
def test_a_gaussian_of_a_thousand_dimensions():
    target, covariance = correlated(1000)
    found = chains_of(target, 120.0)
    std, x = covariance.diagonal().sqrt(), found.draws.flatten(0, 1)
    assert found.converged
    assert (x.mean(0) / std).abs().max() < 6 / found.ess**0.5  # the largest of 1,000
