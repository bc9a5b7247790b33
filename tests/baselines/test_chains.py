"""What all batched chains share: seeds, counts, starts, the metric, and the record."""

import torch

from amortized.baselines import mala
from amortized.baselines.chains import ChainOptions, chain_draws, metric, sample_chains
from amortized.baselines.record import Run
from amortized.mcmc import mala as kernel
from amortized.targets.callable import DensityTarget
from tests.baselines import known
from tests.known import isotropic


def short(seed: int = 0, **options):
    return mala.run(known.skewed_mixture(), chains=4, warmup=20, draws=10, thin=2, seed=seed, **options)


def test_draws_depend_on_the_seed_alone():
    one, two, other = short(3), short(3), short(4)
    assert torch.equal(one.sites["x"], two.sites["x"]) and not torch.equal(one.sites["x"], other.sites["x"])


def test_callers_random_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    short()
    assert torch.equal(torch.rand(3), expected)


def test_chains_keep_to_the_support():
    def half_normal(x: torch.Tensor) -> torch.Tensor:
        return torch.where(x[:, 0] > 0, -0.5 * x[:, 0].square(), torch.nan)

    draws = mala.run(DensityTarget(half_normal, dim=1), chains=16, warmup=100, draws=50, seed=0)
    assert bool((draws.sites["x"] > 0).all())


def test_the_metric_is_the_covariance_or_its_diagonal():
    generator = torch.Generator().manual_seed(0)
    factor = torch.tensor([[0.5, 0.0], [1.2, 1.6]])
    states = 3.0 + torch.randn(4_000, 2, generator=generator) @ factor.mT
    mean, full = metric(states, full_mass=True)
    assert (mean - 3.0).abs().max() < 5 * 2 / 4_000**0.5
    assert ((full @ full.mT).float() - factor @ factor.mT).abs().max() < 5 * 4 * (2 / 4_000) ** 0.5
    assert torch.equal(metric(states, full_mass=False)[1], states.double().std(0).diag())


def test_the_record_of_chains_that_disagree_says_so():
    target = known.skewed_mixture()
    states = torch.randn(2, 50, 2, generator=torch.Generator().manual_seed(0))
    states[1] += 10.0
    run = Run(target)
    target.calls += 7
    draws = chain_draws(run, "two", states, {"divergences": 0})
    assert float(draws.attributes["rhat"]) > 2 and float(draws.attributes["ess"]) < 20
    assert draws.states is not None and torch.equal(draws.states, states.flatten(0, 1))
    assert (draws.chains, draws.target_calls, draws.attributes["divergences"]) == (2, 7, 0)


def test_the_step_is_fixed_once_draws_are_kept():
    steps = []

    def watched(log_prob_and_score, state, step_size, generator):
        steps.append(float(step_size.median()))
        return kernel.step(log_prob_and_score, state, step_size, generator)

    options = ChainOptions(0.574, chains=8, warmup=40, draws=10, thin=2, full_mass=True, seed=0, progress=False)
    sample_chains(Run(isotropic(2)), "mala", watched, options)
    assert len(set(steps[:40])) > 30 and len(set(steps[40:])) == 1 and len(steps) == 60
