"""The broad Gaussian covers what it should: the prior where there is one, else where short chains end."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.baselines.reference import broad_gaussian, middle
from amortized.targets.density import DensityTarget
from amortized.targets.pyro_model import PyroTarget
from tests.baselines import known


def test_the_prior_in_unconstrained_space():
    """500 draws: a 5 % quantile of a normal is off by sd √(.05 · .95 / 500) / .103 ≈ 0.095 sd; within four of these."""

    def model(y: torch.Tensor) -> None:
        scale = pyro.sample("scale", dist.LogNormal(3.0, 0.5))
        pyro.sample("y", dist.Normal(0.0, scale), obs=y)

    mean, deviation = broad_gaussian(PyroTarget(model, (torch.tensor(0.1),)), seed=0)
    assert abs(float(mean) - 3.0) < 4 * 0.095 * 0.5 and abs(float(deviation) / 0.5 - 1) < 4 * 0.095 / 1.645


def test_pilot_chains_where_there_is_no_prior():
    """Half as wide again as the target, from 128 chains: deviations within 40 %, so none is under the target's."""
    _, deviation = broad_gaussian(known.skewed_mixture(), seed=0)
    assert torch.all(deviation.float() > known.DEVIATION) and torch.all(deviation.float() < 3 * known.DEVIATION)


def test_an_improper_prior_is_no_prior():
    def model() -> None:
        x = pyro.sample("x", dist.ImproperUniform(dist.constraints.real_vector, (), (2,)))
        pyro.factor("narrow", -0.5 * ((x - 7.0) / 0.5).square().sum(-1))

    mean, deviation = broad_gaussian(PyroTarget(model), seed=0)
    assert torch.all((mean - 7.0).abs() < 1.0) and torch.all(deviation > 0.5) and torch.all(deviation < 1.5)


def test_no_finite_density_is_an_error():
    with pytest.raises(ValueError, match="-inf or NaN"):
        broad_gaussian(DensityTarget(lambda x: x.sum(-1) * torch.nan, dim=2), seed=0)


def test_far_draws_do_not_decide():
    x = torch.linspace(-1.0, 1.0, 1_001)[:, None]
    x[-1] = 1e6
    centre, scale = middle(x)
    assert abs(float(centre)) < 0.01 and abs(float(scale) - 0.9 / 1.645) < 0.01
