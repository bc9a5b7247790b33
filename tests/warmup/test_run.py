"""The warm-up on targets of known truth: modes, scale, weights, log Z, and an honest status."""

import itertools
import math

import pytest
import torch

from amortized.targets.affine import WhitenedTarget
from amortized.targets.callable import DensityTarget
from amortized.warmup import warm_up
from tests.known import FIVE_WEIGHTS, five_modes

LOG_2PI = math.log(2 * math.pi)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(x, mean, sd):
    sd = torch.as_tensor(sd).to(x)
    return -0.5 * ((x - torch.as_tensor(mean).to(x)) / sd).square() - sd.log() - 0.5 * LOG_2PI


def gaussian(mean, sd, dtype=torch.float64):
    return DensityTarget(lambda x: normal(x, mean, sd).sum(-1) + 7.0, len(sd), dtype=dtype)


def two_modes():
    """Shares 0.8 and 0.2, far apart, scales that differ by a factor of a hundred from axis to axis."""
    scales = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    means, sds = torch.stack([-15 * scales, 15 * scales.flip(0)]), torch.stack([scales, 0.5 * scales.flip(0)])
    shares = torch.tensor([0.8, 0.2], dtype=torch.float64).log()
    return DensityTarget(lambda x: (normal(x[:, None], means, sds).sum(-1) + shares).logsumexp(-1), 3, torch.float64)


def collinear_regression(dtype=torch.float64):
    """Flat priors; intercept near −61,000, slope near 1,260, correlation −0.9998; returns exact means and sds too."""
    generator = seeded(2)
    height = (66.9 + 3.8 * torch.randn(1192, generator=generator, dtype=torch.float64)).round()
    earn = -61_000 + 1_260 * height + 19_000 * torch.randn(1192, generator=generator, dtype=torch.float64)
    design = torch.stack([torch.ones_like(height), height], -1)
    estimate = torch.linalg.solve(design.mT @ design, design.mT @ earn)
    residual = float((earn - design @ estimate).square().sum())
    shape = 0.5 * (1192 - 3)
    sd = (0.5 * residual / (shape - 1) * torch.linalg.inv(design.mT @ design).diagonal()).sqrt()
    log_z = -0.5 * 1190 * LOG_2PI - 0.5 * float(torch.logdet(design.mT @ design)) - math.log(2)
    log_z += math.lgamma(shape) - shape * math.log(0.5 * residual)

    def density(x):
        return normal(earn.to(x), x[:, :2] @ design.to(x).mT, 1.0 * x[:, 2:].exp()).sum(-1) + x[:, 2]

    return DensityTarget(density, 3, dtype=dtype), estimate, sd, log_z


def check_moments(draws, mean, sd, error=0.1, ratio=0.1):
    """Means within ``error`` sd and sds within ``ratio``: with 1,000 draws the standard errors are 0.03 and 0.02."""
    x = draws.double()
    assert ((x.mean(0) - mean) / sd).abs().max() < error
    assert (x.std(0) / sd - 1).abs().max() < ratio


def test_a_gaussian_of_many_scales_far_from_the_origin():
    sd = torch.logspace(-3, 2, 8, dtype=torch.float64)  # not symmetric: the log-determinant is not 0
    target = gaussian(50 * sd, sd)
    found = warm_up(target, draws=1000, generator=seeded())
    check_moments(found.draws, 50 * sd, sd)
    assert found.trustworthy and abs(found.log_evidence.value - 7.0) < 0.05
    assert found.target_calls == target.calls < 150_000 + 2**16  # the screening's points of one mode
    assert torch.allclose(found.log_prob, target.log_prob(found.draws), atol=1e-6)
    white = WhitenedTarget(target, found.shift, found.scale_tril).whiten(found.draws)
    assert (white.var(0, correction=0) - 1).abs().max() < 1e-3 and white.mean(0).abs().max() < 1e-3
    # Correlations that noise explains may stay: five standard errors.
    assert (torch.cov(white.T) - torch.eye(8)).abs().max() < 5 / len(white) ** 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_nearly_collinear_regression_with_flat_priors(dtype):
    target, mean, sd, log_z = collinear_regression(dtype)
    assert float(target.log_prob(torch.zeros(1, 3, dtype=dtype))) < -1e11
    found = warm_up(target, draws=1000, generator=seeded())
    check_moments(found.draws[:, :2], mean, sd)
    assert found.draws.dtype == dtype and found.trustworthy
    assert abs(found.log_evidence.value - log_z) < 0.05


def test_the_weights_of_two_ill_scaled_modes():
    # Binomial standard error of 1,000 draws: 1.3 points; the promise is 3.
    found = warm_up(two_modes(), draws=1000, generator=seeded())
    share = float((found.draws[:, 0] > 2).double().mean())
    assert abs(share - 0.2) < 0.03
    assert abs(found.log_evidence.value) < 0.1
    assert abs(float(found.mixture.weights[found.mixture.means[:, 0] > 2].sum()) - 0.2) < 0.05


def test_label_switching():
    centres = torch.tensor(list(itertools.permutations([-4.0, 0.0, 4.0])), dtype=torch.float64)
    target = DensityTarget(lambda x: normal(x[:, None], centres, 0.5).sum(-1).logsumexp(-1), 3, torch.float64)
    found = warm_up(target, draws=1000, generator=seeded())
    share = torch.bincount(torch.cdist(found.draws, centres).argmin(-1), minlength=6) / 1000
    assert (share - 1 / 6).abs().max() < 0.05  # binomial standard error 1.2 points
    assert abs(found.log_evidence.value - math.log(6)) < 0.1


def test_twenty_five_modes_with_even_weights():
    means = torch.cartesian_prod(*2 * [torch.arange(-10.0, 11, 5)]).double()
    sd = math.sqrt(0.3)
    target = DensityTarget(
        lambda x: normal(x[:, None], means, sd).sum(-1).logsumexp(-1) - math.log(25), 2, torch.float64
    )
    found = warm_up(target, generator=seeded())
    share = torch.bincount(torch.cdist(found.draws, means).argmin(-1), minlength=25) / len(found.draws)
    assert (share - 0.04).abs().max() < 0.03 and share.min() > 0.02
    assert found.trustworthy and abs(found.log_evidence.value) < 0.05


def test_a_narrow_mode_beside_a_wide_one_that_takes_the_optimisation_runs():
    """Deviations 1 and .5, 24 apart, D = 10: no start lies in the narrow basin. Binomial error 1.5 points."""
    means = torch.stack([torch.zeros(10), 24 / 10**0.5 * torch.ones(10)]).double()
    sds = torch.tensor([[1.0], [0.5]], dtype=torch.float64)
    target = DensityTarget(lambda x: normal(x[:, None], means, sds).sum(-1).logsumexp(-1), 10, torch.float64)
    found = warm_up(target, draws=1000, generator=seeded())
    share = float((torch.cdist(found.draws, means) / sds[:, 0]).argmin(-1).double().mean())
    assert abs(share - 0.5) < 0.05 and abs(found.log_evidence.value - math.log(2)) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_five_modes_of_which_the_widest_takes_47_of_48_runs(seed):
    target, parts = five_modes()
    found = warm_up(target, generator=seeded(seed), max_seconds=300.0)
    share = torch.bincount(parts(found.draws).argmax(1), minlength=5) / len(found.draws)
    assert (share - FIVE_WEIGHTS).abs().max() < 0.05  # the promise, 3 points, and two binomial standard errors
    assert abs(found.log_evidence.value) < 0.1


@pytest.mark.slow
def test_three_clusters_in_all_their_labellings_under_wide_priors():
    """Means with priors N(0, 200), 20 data around -60, 10 and 90 with equal shares: six labellings of equal mass."""
    y = torch.cat([centre + torch.randn(20, generator=seeded(4)) for centre in (-60.0, 10.0, 90.0)]).double()

    def log_prob(x):
        return normal(y[:, None], x[:, None], 1.0).logsumexp(-1).sum(-1) + normal(x, 0.0, 200.0).sum(-1)

    found = warm_up(DensityTarget(log_prob, 3, torch.float64), draws=1000, generator=seeded())
    order = found.draws.argsort(1) @ torch.tensor([9, 3, 1])
    counts = order.unique(return_counts=True)[1] / 1000
    assert len(counts) == 6 and (counts - 1 / 6).abs().max() < 0.05  # binomial standard error 1.2 points


def test_an_asymmetric_density_with_its_evidence():
    # log of Gamma(2, 1) in each of three coordinates: mean ψ(2), variance ψ'(2), log Z = 0.
    target = DensityTarget(lambda x: (2 * x - x.exp()).sum(-1), 3, torch.float64)
    found = warm_up(target, draws=1000, generator=seeded())
    mean, variance = (float(torch.polygamma(n, torch.tensor(2.0, dtype=torch.float64))) for n in (0, 1))
    check_moments(found.draws, mean, math.sqrt(variance))
    assert found.trustworthy and abs(found.log_evidence.value) < 0.05


def test_an_uncovered_neck_is_reported():
    # A centred hierarchy, unbounded as the scale goes to zero: the optimisation meets density that no draws explain.
    y = torch.tensor([28.0, 8, -3, 7, -1, 1, 18, 12], dtype=torch.float64)
    error = torch.tensor([15.0, 10, 16, 11, 9, 11, 10, 18], dtype=torch.float64)

    def density(x):
        theta, mu, log_tau = x[:, :8], x[:, 8:9], x[:, 9:]
        local = -0.5 * ((theta - mu) / log_tau.exp()).square() - log_tau
        hyper = normal(mu, 0.0, 5.0) - torch.log1p((log_tau.exp() / 5).square()) + log_tau
        return (local + normal(y, theta, error)).sum(-1) + hyper[:, 0]

    found = warm_up(DensityTarget(density, 10, torch.float64), draws=500, generator=seeded(), max_calls=150_000)
    assert not found.trustworthy and "neck" in found.status


def test_non_finite_starts_are_dropped():
    # Finite only in an eighth of space; NaN elsewhere.
    def density(x):
        inside = (x > 0.5).all(-1)
        safe = torch.where(inside[:, None], x, 1.0)
        return torch.where(inside, normal((safe - 0.5).log(), 0.0, 0.3).sum(-1) - (safe - 0.5).log().sum(-1), math.nan)

    target = DensityTarget(density, 3, torch.float64)
    found = warm_up(target, draws=500, generator=seeded())
    assert target.nonfinite > 0 and bool((found.draws > 0.5).all())
    assert abs(float(found.draws.mean()) - 0.5 - math.exp(0.045)) < 0.06
    assert abs(found.log_evidence.value) < 0.1


def test_a_density_that_is_nowhere_finite_raises_and_names_the_fix():
    target = DensityTarget(lambda x: x.sum(-1) * math.nan, 2)
    with pytest.raises(ValueError, match="-inf or NaN at all .* starting points.*Check the model"):
        warm_up(target, generator=seeded())


def test_same_seed_same_draws():
    runs = [warm_up(gaussian(torch.ones(2), torch.ones(2)), draws=64, generator=seeded(3)) for _ in range(2)]
    assert torch.equal(runs[0].draws, runs[1].draws) and runs[0].log_evidence == runs[1].log_evidence


def test_a_spent_budget_is_said():
    found = warm_up(two_modes(), draws=200, generator=seeded(), max_calls=8_000)
    assert not found.trustworthy and "budget" in found.status and bool(found.draws.isfinite().all())
    assert "not finished" in found.status and "0.000 ± 0.000" not in found.status
    assert math.isfinite(found.log_evidence.value) and found.log_evidence.value != 0


def test_an_unfinished_tempering_does_not_condemn_good_weights():
    """One Gaussian, found by the optimisation; no time is left to temper. Its weights are even and its log Z right."""
    found = warm_up(gaussian(torch.ones(2), torch.ones(2)), draws=500, generator=seeded(), max_calls=4_000)
    assert found.status.count("not finished") == 2
    assert found.trustworthy and abs(found.log_evidence.value - 7.0) < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_benchmark_promise_holds_over_seeds(seed):
    sd = torch.logspace(-2, 2, 50, dtype=torch.float64)
    found = warm_up(gaussian(3 * sd, sd), generator=seeded(seed))
    check_moments(found.draws, 3 * sd, sd)
    target, mean, scale, log_z = collinear_regression()
    check_moments(warm_up(target, generator=seeded(seed)).draws[:, :2], mean, scale)
    share = float((warm_up(two_modes(), generator=seeded(seed)).draws[:, 0] > 2).double().mean())
    assert abs(share - 0.2) < 0.03
