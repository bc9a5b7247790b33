"""Tempered SMC: its estimate of Z is unbiased, its standard error honest, its particles right."""

import math

import pytest
import torch

from amortized.mcmc import tempered_smc
from amortized.mixtures.gaussian import GaussianMixture
from amortized.weights import effective_sample_size, pareto_shape, systematic


def base(dim, scale=3.0, mean=0.0):
    return GaussianMixture(
        torch.ones(1, dtype=torch.float64),
        torch.full((1, dim), mean, dtype=torch.float64),
        scale * torch.eye(dim, dtype=torch.float64)[None],
    )


def gaussian(x):
    """N(1, diag(0.5, 1, 2)²) times e^2."""
    sd = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
    z = (x - 1) / sd
    return 2 - 0.5 * z.square().sum(-1) - sd.log().sum() - 1.5 * math.log(2 * math.pi), -z / sd


def log_gamma(x):
    """The logarithm of a Gamma(2, 1) variable in each of two coordinates, times e^-3: skewed to the left."""
    return (2 * x - x.exp()).sum(-1) - 3.0, 2 - x.exp()


CASES = {"gaussian": (gaussian, 3, 2.0), "skewed": (log_gamma, 2, -3.0)}


@pytest.mark.parametrize("name", CASES)
def test_the_evidence_is_unbiased_and_its_error_honest(name):
    # 40 runs of 256 particles. E[Ẑ/Z] = 1 but for O(1/N) from adaptation: within 4 standard errors plus 0.01.
    # Claimed over true spread: its own error with 40 runs is 1/√80 = 11 %, so within a factor of 1.6.
    density, dim, truth = CASES[name]
    runs = [tempered_smc.run(density, base(dim), 256, torch.Generator().manual_seed(seed)) for seed in range(40)]
    gaps = torch.tensor([run.log_evidence.value - truth for run in runs], dtype=torch.float64)
    ratio = gaps.exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / math.sqrt(40) + 0.01
    claimed = torch.tensor([run.log_evidence.std_error for run in runs]).square().mean().sqrt()
    assert 1 / 1.6 < float(claimed / gaps.std()) < 1.6


def test_the_particles_follow_the_target():
    # 2,000 particles, at worst a few moves old: tolerance 5 standard errors of half as many independent draws.
    result = tempered_smc.run(log_gamma, base(2), 2000, torch.Generator().manual_seed(3))
    moments = [float(torch.polygamma(order, torch.tensor(2.0, dtype=torch.float64))) for order in (0, 1)]
    x = result.state.x
    assert (x.mean(0) - moments[0]).abs().max() < 5 * math.sqrt(moments[1] / 1000)
    assert (x.var(0) / moments[1] - 1).abs().max() < 5 * math.sqrt(3.0 / 1000)
    assert torch.equal(result.state.log_prob, log_gamma(x)[0])


def test_the_ladder_rises_to_one_and_a_perfect_base_needs_one_rung():
    result = tempered_smc.run(gaussian, base(3, 10.0), 256, torch.Generator().manual_seed(0))
    ladder = torch.tensor(result.temperatures)
    assert result.finished and ladder[0] == 0 and ladder[-1] == 1 and bool((ladder.diff() > 0).all())
    perfect = base(2, 1.0)
    assert len(tempered_smc.run(perfect.log_prob_and_score, perfect, 64, None).temperatures) == 2


@pytest.mark.parametrize("temperature", [0.0, 0.6])
def test_a_rung_leaves_the_share_that_was_asked_for_effective(temperature):
    log_ratio = 40 * torch.randn(500, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    log_ratio[:100] = -torch.inf
    increment = tempered_smc.next_increment(log_ratio, temperature, 0.7)
    assert 0 < increment < 1 - temperature
    assert float(effective_sample_size(increment * log_ratio[100:])) == pytest.approx(0.7 * 400, rel=1e-6)
    assert tempered_smc.next_increment(1e-3 * log_ratio, temperature, 0.7) == 1 - temperature


def test_weights_of_two_far_modes_survive_tempering():
    # Shares 0.8 and 0.2, 12 sds apart; 1,024 particles: binomial error 1.3 points, doubled for the ladder, times 4.
    target = GaussianMixture(
        torch.tensor([0.8, 0.2], dtype=torch.float64),
        torch.tensor([[-6.0, 0.0], [6.0, 0.0]], dtype=torch.float64),
        torch.eye(2, dtype=torch.float64).repeat(2, 1, 1),
    )
    result = tempered_smc.run(target.log_prob_and_score, base(2, 8.0), 1024, torch.Generator().manual_seed(0))
    assert abs(float((result.state.x[:, 0] > 0).double().mean()) - 0.2) < 0.1


def test_particles_outside_the_support_are_dropped_and_counted_in_the_evidence():
    # Half of N(0, 1): Z = 1/2. The standard error is near 0.05.
    def half(x):
        value, score = base(1, 1.0).log_prob_and_score(x)
        inside = x[:, 0] > 0
        return torch.where(inside, value, -torch.inf), torch.where(inside[:, None], score, 0.0)

    result = tempered_smc.run(half, base(1, 1.0), 1000, torch.Generator().manual_seed(0))
    assert bool((result.state.x > 0).all())
    assert abs(result.log_evidence.value - math.log(0.5)) < 0.15


def test_a_density_that_is_zero_everywhere_raises():
    with pytest.raises(ValueError, match="every particle has density zero"):
        tempered_smc.run(lambda x: (torch.full_like(x[:, 0], -torch.inf), 0 * x), base(2), 16, None)


def test_stopping_early_is_said():
    result = tempered_smc.run(gaussian, base(3, 100.0), 64, torch.Generator().manual_seed(0), stop=lambda: True)
    assert not result.finished and result.temperatures == (0.0,)
    assert math.isnan(result.log_evidence.value) and math.isnan(result.log_evidence.std_error)


def test_same_seed_same_particles():
    first, second = (tempered_smc.run(gaussian, base(3), 64, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first.state.x, second.state.x) and first.log_evidence == second.log_evidence


def test_systematic_resampling_is_unbiased_and_stratified():
    log_weights = torch.tensor([0.1, 0.2, 0.0, 0.7]).log()
    counts = torch.stack(
        [torch.bincount(systematic(log_weights, 5, torch.Generator().manual_seed(s)), minlength=4) for s in range(400)]
    ).double()
    expected = 5 * log_weights.exp().double()
    assert bool((counts >= expected.floor()).all()) and bool((counts <= expected.ceil()).all())
    assert (counts.mean(0) - expected).abs().max() < 5 * 0.5 / math.sqrt(400)


def test_effective_sample_size_counts_equal_weights_and_ignores_scale():
    log_weights = torch.tensor([0.0, 0.0, -torch.inf, 0.0]) + 1e4
    assert float(effective_sample_size(log_weights)) == pytest.approx(3.0)


@pytest.mark.parametrize("shape", [0.2, 0.5, 0.9])
def test_pareto_shape_recovers_the_tail_index(shape):
    # u^-shape has tail index `shape`; with 20,000 draws the tail holds 424, standard error about (1 + shape) / √424.
    uniform = torch.rand(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert abs(pareto_shape(-shape * uniform.log()) - shape) < 4 * (1 + shape) / math.sqrt(424)
