"""MALA and HMC leave what they should leave alone, move by the book, and adapt to the acceptance asked for."""

import math

import pytest
import torch

from amortized.mcmc import hmc, mala
from amortized.mcmc import independence as jumps
from amortized.mcmc.state import State, adapted, init, metropolis
from amortized.mixtures.gaussian import GaussianMixture
from amortized.mixtures.product import ProductMixture

CHAINS = 4000
COVARIANCE = torch.tensor([[1.0, 1.2, 0.0], [1.2, 4.0, -0.3], [0.0, -0.3, 0.25]], dtype=torch.float64)
FACTOR = torch.linalg.cholesky(COVARIANCE)
MEAN = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
PRECISION = torch.linalg.inv(COVARIANCE)


def correlated(x):
    score = -(x - MEAN) @ PRECISION
    return 0.5 * ((x - MEAN) * score).sum(-1), score


def skewed(x):
    """Gamma(3, 1) on the log scale: asymmetric, so that a wrong sign in the ratio shows."""
    return (3 * x - x.exp()).sum(-1), 3 - x.exp()


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def exact_start(generator):
    x = MEAN + torch.randn(CHAINS, 3, generator=generator, dtype=torch.float64) @ FACTOR.mT
    return init(correlated, x)


def mala_moves(density, state, generator):
    for _ in range(20):
        state, _ = mala.step(density, state, torch.tensor(0.15, dtype=torch.float64), generator)
    return state


def hmc_moves(density, state, generator):
    for _ in range(5):
        state, _ = hmc.step(density, state, torch.tensor(0.7, dtype=torch.float64), FACTOR, 4, generator)
    return state


def independence_moves(density, state, generator):
    proposal = GaussianMixture(
        torch.tensor([0.3, 0.7], dtype=torch.float64),
        torch.stack([MEAN - 1, MEAN + 0.5]),
        torch.stack([FACTOR, 1.5 * FACTOR]),
    )
    for _ in range(5):
        state, _ = jumps.independence(density, state, proposal, generator)
    return state


def marginal_moves(density, state, generator):
    for coordinates in (1, 3, 2):
        state, _ = jumps.redraw_from_chains(density, state, coordinates, torch.eye(3, dtype=torch.float64), generator)
    return state


def redraw_moves(density, state, generator):
    two = torch.tensor([[0.3, 0.7], [0.5, 0.5], [1.0, 0.0]], dtype=torch.float64)
    means = torch.tensor([[-1.0, 1.0], [0.0, 0.5], [0.0, 0.0]], dtype=torch.float64)
    proposal = ProductMixture(two, means, torch.full_like(two, 1.2), MEAN, FACTOR)
    for coordinates in (3, 1, 2, 2):
        state, _ = jumps.redraw(density, state, proposal, coordinates, generator)
    return state


@pytest.mark.parametrize("moves", [mala_moves, hmc_moves, independence_moves, marginal_moves, redraw_moves])
def test_a_correlated_gaussian_is_left_invariant(moves):
    # Means of 4,000 independent chains have standard error sd/√4000 = 0.016 sd, covariances √2/√4000 = 0.022 of
    # sd_i sd_j at most; five standard errors leave one false alarm in a million.
    generator = seeded()
    x = moves(correlated, exact_start(generator), generator).x
    sd = COVARIANCE.diagonal().sqrt()
    assert ((x.mean(0) - MEAN) / sd).abs().max() < 5 / math.sqrt(CHAINS)
    assert ((torch.cov(x.T) - COVARIANCE) / (sd * sd[:, None])).abs().max() < 5 * math.sqrt(2 / CHAINS)


@pytest.mark.parametrize("kernel", ["mala", "hmc"])
def test_an_asymmetric_density_is_left_invariant(kernel):
    # x = log G with G ~ Gamma(3, 1): mean ψ(3), variance ψ'(3), third central moment ψ''(3); five standard errors.
    generator = seeded(1)
    law = torch.distributions.Gamma(3.0, 1.0)
    torch.manual_seed(1)
    state = init(skewed, law.sample((CHAINS, 1)).double().log())
    for _ in range(15):
        if kernel == "mala":
            state, _ = mala.step(skewed, state, torch.tensor(0.3, dtype=torch.float64), generator)
        else:
            one = torch.eye(1, dtype=torch.float64)
            state, _ = hmc.step(skewed, state, torch.tensor(0.6, dtype=torch.float64), one, 3, generator)
    moments = [float(torch.polygamma(order, torch.tensor(3.0, dtype=torch.float64))) for order in range(3)]
    centred = state.x[:, 0] - moments[0]
    for power, truth in zip((1, 2, 3), (0.0, moments[1], moments[2]), strict=True):
        value = centred**power
        assert abs(float(value.mean()) - truth) < 5 * float(value.std()) / math.sqrt(CHAINS)


@pytest.mark.parametrize("kernel", ["mala", "hmc"])
def test_moves_from_far_away_reach_the_correlated_gaussian(kernel):
    generator = seeded(2)
    x = torch.full((CHAINS, 3), 6.0, dtype=torch.float64)
    step = torch.full((CHAINS,), 0.05, dtype=torch.float64)
    if kernel == "mala":
        state, _, _ = mala.run(correlated, init(correlated, x), 400, step, generator)
    else:
        state, _, _ = hmc.run(correlated, init(correlated, x), 40, step.mean(), FACTOR, 4, generator)
    sd = COVARIANCE.diagonal().sqrt()
    assert ((state.x.mean(0) - MEAN) / sd).abs().max() < 5 / math.sqrt(CHAINS)
    assert ((torch.cov(state.x.T) - COVARIANCE) / (sd * sd[:, None])).abs().max() < 5 * math.sqrt(2 / CHAINS)


@pytest.mark.parametrize("per_chain", [True, False])
def test_mala_adapts_to_its_acceptance(per_chain):
    generator = seeded(3)
    start = torch.full((300,), 1e-3) if per_chain else torch.tensor(1e-3)
    density = lambda x: (-0.5 * x.square().sum(-1), -x)  # noqa: E731
    state = init(density, torch.randn(300, 10, generator=generator))
    state, step, _ = mala.run(density, state, 300, start, generator)
    _, _, info = mala.run(density, state, 100, step, generator)
    assert step.shape == start.shape
    assert abs(float(info.acceptance_rate.mean()) - 0.574) < 0.04


def test_per_chain_steps_follow_each_chain():
    scale = torch.tensor([0.1, 10.0])
    density = lambda x: (-0.5 * (x / scale[:, None]).square().sum(-1), -x / scale[:, None].square())  # noqa: E731
    state = init(density, torch.zeros(2, 5))
    _, step, _ = mala.run(density, state, 400, torch.ones(2), seeded())
    assert 1e3 < float(step[1] / step[0]) < 1e5  # the step is in squared units: the truth is 10⁴


def test_hmc_adapts_to_its_acceptance():
    generator = seeded(4)
    state, step, _ = hmc.run(correlated, exact_start(generator), 60, torch.tensor(0.01), FACTOR, 5, generator)
    _, _, info = hmc.run(correlated, state, 20, step, FACTOR, 5, generator)
    assert abs(float(info.acceptance_rate.mean()) - 0.75) < 0.06


def test_one_new_score_a_step_and_no_gradient():
    calls = []

    def counted(x):
        calls.append(x.requires_grad)
        return correlated(x)

    state = init(counted, torch.zeros(5, 3, dtype=torch.float64, requires_grad=True).detach())
    mala.run(counted, state, 10, torch.tensor(0.1), seeded())
    assert len(calls) == 11 and not any(calls)


def test_same_seed_same_draws_and_dtype_kept():
    start = torch.zeros(8, 2)
    density = lambda x: (-0.5 * x.square().sum(-1), -x)  # noqa: E731
    first, second = (mala.run(density, init(density, start), 20, torch.tensor(0.5), seeded(7))[0] for _ in range(2))
    assert torch.equal(first.x, second.x) and first.x.dtype == torch.float32


@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_a_density_that_is_not_finite_is_never_entered(bad):
    def walled(x):
        inside = x[:, 0] > 0
        return torch.where(inside, -0.5 * x.square().sum(-1), bad), torch.where(inside[:, None], -x, bad)

    state = init(walled, torch.ones(200, 2, dtype=torch.float64))
    generator = seeded(5)
    for _ in range(30):
        state, info = mala.step(walled, state, torch.tensor(0.5), generator)
        assert bool(info.acceptance_rate.isfinite().all())
        state, _ = hmc.step(walled, state, torch.tensor(0.5), torch.eye(2, dtype=torch.float64), 3, generator)
    assert bool((state.x[:, 0] > 0).all()) and bool(state.log_prob.isfinite().all())


def test_metropolis_takes_all_sure_moves_and_refuses_nan():
    here, there = (State(torch.full((2, 1), v), torch.full((2,), v), torch.full((2, 1), v)) for v in (0.0, 1.0))
    chosen, info = metropolis(here, there, torch.tensor([5.0, math.nan]), seeded())
    assert chosen.x.flatten().tolist() == [1.0, 0.0] and info.acceptance_rate.tolist() == [1.0, 0.0]


def test_adaptation_moves_with_the_error():
    step = torch.tensor(1.0)
    assert adapted(step, torch.tensor([1.0]), 0, 0.5) > step > adapted(step, torch.tensor([0.0]), 0, 0.5)
