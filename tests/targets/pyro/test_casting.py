"""Whole numbers and truth values as data: the density is that of the same data as floats."""

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.targets.conditional.simulation import check_simulation
from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.casting import as_taken
from amortized.targets.pyro.target import PyroTarget

FLOATS = torch.tensor([1.0, 0.0, 1.0])


def coins(y, known=None):
    p = pyro.sample("p", dist.Beta(1.0, 1.0))
    with pyro.plate("n", 3):
        pyro.sample("y", dist.Bernoulli(p), obs=y, obs_mask=known)


def normal(y):
    p = pyro.sample("p", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 3):
        pyro.sample("y", dist.Normal(p, 1.0), obs=y)


def mixture(y):
    p = pyro.sample("p", dist.Beta(1.0, 1.0))
    parts = dist.Bernoulli(torch.stack([p, 1 - p / 2]).expand(3, 2))
    with pyro.plate("n", 3):
        pyro.sample("y", dist.MixtureSameFamily(dist.Categorical(torch.ones(3, 2)), parts), obs=y)


@pytest.mark.parametrize("y", [np.array([1, 0, 1]), [1, 0, 1], np.array([True, False, True]), FLOATS.long()], ids=type)
@pytest.mark.parametrize("model", [coins, normal, mixture])
def test_the_density_is_that_of_floats(model, y):
    x = torch.tensor([[0.3], [-1.0]])
    torch.testing.assert_close(PyroTarget(model, (y,)).log_prob(x), PyroTarget(model, (FLOATS,)).log_prob(x))


@pytest.mark.parametrize("y", [FLOATS.long(), FLOATS.bool()])
def test_data_known_in_part(y):
    known, x = torch.tensor([True, False, True]), torch.tensor([[0.3]])
    want = PyroTarget(coins, (FLOATS, known)).log_prob(x)
    torch.testing.assert_close(PyroTarget(coins, (y, known)).log_prob(x), want)


def test_a_number_of_python():
    def model(y):
        pyro.sample("y", dist.Binomial(10, pyro.sample("p", dist.Beta(1.0, 1.0))), obs=y)

    x = torch.tensor([[0.3]])
    want = PyroTarget(model, (torch.tensor(3.0),)).log_prob(x)
    torch.testing.assert_close(PyroTarget(lambda: model(3)).log_prob(x), want)


@pytest.mark.parametrize("amortize", ["y", "site"])
def test_data_sets_of_whole_numbers(amortize):
    def model(y):
        p = pyro.sample("p", dist.Beta(1.0, 1.0))
        pyro.sample("site", dist.Bernoulli(p).expand([3]).to_event(1), obs=y)

    rows = FLOATS if amortize == "site" else torch.stack([FLOATS, 0 * FLOATS])
    got, want = (ConditionalTarget(model, amortize, (y,)) for y in (rows.long(), rows))
    check_simulation(got, got.rows)
    x = torch.tensor([[0.3]])
    torch.testing.assert_close(got.at(got.rows[:1]).log_prob(x), want.at(want.rows[:1]).log_prob(x))


def test_what_a_density_takes_stays_as_it_is():
    counts, labels = torch.tensor([1, 0]), torch.tensor([True, False])
    assert as_taken(counts, dist.Poisson(1.0)) is counts and as_taken(FLOATS, dist.Bernoulli(0.5)) is FLOATS
    assert as_taken(labels, dist.Categorical(torch.ones(2))) is labels
    assert as_taken(2.5, dist.Normal(0.0, 1.0)) == 2.5


def test_wider_parameters_keep_their_digits():
    fn, y = dist.Bernoulli(logits=torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)), FLOATS.long()
    torch.testing.assert_close(fn.log_prob(as_taken(y, fn)), fn.log_prob(FLOATS.double()), rtol=0, atol=0)
