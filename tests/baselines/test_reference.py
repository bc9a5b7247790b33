"""The broad Gaussian covers what it should: the prior where there is one, else where short chains end."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.baselines.reference import broad_gaussian, covering_gaussian, middle, pilot
from amortized.targets.callable import DensityTarget
from amortized.targets.pyro.target import PyroTarget
from tests.baselines import known


def test_the_prior_in_unconstrained_space():
    """500 draws: a 5 % quantile of a normal is off by sd √(.05 · .95 / 500) / .103 ≈ 0.095 sd; within four of these."""

    def model(y: torch.Tensor) -> None:
        scale = pyro.sample("scale", dist.LogNormal(3.0, 0.5))
        pyro.sample("y", dist.Normal(0.0, scale), obs=y)

    mean, std = broad_gaussian(PyroTarget(model, (torch.tensor(0.1),)), seed=0)
    assert abs(float(mean) - 3.0) < 4 * 0.095 * 0.5 and abs(float(std) / 0.5 - 1) < 4 * 0.095 / 1.645


def test_pilot_chains_where_there_is_no_prior():
    """Half as wide again as the target, from 128 chains: stds within 40 %, so none is under the target's."""
    _, std = broad_gaussian(known.skewed_mixture(), seed=0)
    assert torch.all(std.float() > known.DEVIATION) and torch.all(std.float() < 3 * known.DEVIATION)


def test_an_improper_prior_is_no_prior():
    def model() -> None:
        x = pyro.sample("x", dist.ImproperUniform(dist.constraints.real_vector, (), (2,)))
        pyro.factor("narrow", -0.5 * ((x - 7.0) / 0.5).square().sum(-1))

    mean, std = broad_gaussian(PyroTarget(model), seed=0)
    assert torch.all((mean - 7.0).abs() < 1.0) and torch.all(std > 0.5) and torch.all(std < 1.5)


def far_apart(y: torch.Tensor) -> None:
    """The first site's posterior lies at ``y / 1.01`` with standard deviation 0.0995, the second's is its prior."""
    m = pyro.sample("m", dist.Normal(0.0, 1.0))
    pyro.sample("free", dist.Normal(-4.0, 2.0))
    pyro.sample("y", dist.Normal(m, 0.1), obs=y)


@pytest.mark.parametrize("y", [30.0, -30.0])
def test_a_prior_that_misses_the_posterior_is_widened_to_it(y: float):
    """Its middle 90 % then reach from the prior's to the posterior's, in that coordinate alone."""
    target = PyroTarget(far_apart, (torch.tensor(y),))
    prior, (mean, std) = broad_gaussian(target, seed=0), covering_gaussian(target, seed=0)
    assert abs(y / 1.01 - float(mean[0])) < 1.7 * float(std[0])
    assert abs(float(mean[0])) < 1.7 * float(std[0]) < 20.0
    assert mean[1] == prior[0][1] and std[1] == prior[1][1]


def test_a_prior_that_meets_the_posterior_stays():
    target = PyroTarget(far_apart, (torch.tensor(3.0),))
    for covering, prior in zip(covering_gaussian(target, seed=0), broad_gaussian(target, seed=0), strict=True):
        assert torch.equal(covering, prior)


def test_without_a_prior_the_pilot_covers():
    one, two = (function(known.skewed_mixture(), seed=0) for function in (broad_gaussian, covering_gaussian))
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])


def test_a_pilot_starts_from_draws_of_finite_density_or_anew():
    target = DensityTarget(lambda x: torch.where(x[:, 0] < 5, 0.0, -torch.inf) - 0.5 * x[:, 0].square(), dim=1)
    draws = torch.linspace(-1.0, 40.0, 500)[:, None]
    for given in (draws, draws + 10.0):
        ends = pilot(target, torch.Generator().manual_seed(0), given)
        assert len(ends) > 50 and bool((ends < 5).all()) and abs(float(ends.mean())) < 5 / len(ends) ** 0.5


def test_no_finite_density_is_an_error():
    with pytest.raises(ValueError, match="-inf or NaN"):
        broad_gaussian(DensityTarget(lambda x: x.sum(-1) * torch.nan, dim=2), seed=0)


def test_far_draws_do_not_decide():
    x = torch.linspace(-1.0, 1.0, 1_001)[:, None]
    x[-1] = 1e6
    centre, scale = middle(x)
    assert abs(float(centre)) < 0.01 and abs(float(scale) - 0.9 / 1.645) < 0.01
