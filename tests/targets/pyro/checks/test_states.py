"""A model that cannot be run with all states at once is refused by name, before its density is wrong."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.targets.pyro.structure import discover
from amortized.targets.pyro.trace import ModelError
from tests.targets.programs import PROGRAMS

DATA = torch.tensor([0.5, 1.0, 2.0])


def start():
    return pyro.sample("a", dist.Normal(0.0, 1.0)), pyro.sample("z", dist.Bernoulli(0.3))


def branch():
    a, z = start()
    pyro.sample("y", dist.Normal(a + 1 if z == 1 else a, 1.0), obs=DATA[0])


def loop():
    a, z = start()
    pyro.sample("y", dist.Normal(sum([a] * int(z + 1)), 1.0), obs=DATA[0])


def entry_of_a_list():
    a, z = start()
    pyro.sample("y", dist.Normal([a, a + 1][z.long()], 1.0), obs=DATA[0])


def support():
    _, z = start()
    x = pyro.sample("x", dist.Uniform(0.0, 1.0 + z))
    pyro.sample("y", dist.Normal(x, 1.0), obs=DATA[0])


def random_number_of_sites():
    rate = pyro.sample("rate", dist.Beta(2.0, 2.0))
    count = 0
    while count < 40 and pyro.sample(f"more_{count}", dist.Bernoulli(rate)) > 0.5:
        count += 1
    pyro.sample("seen", dist.Normal(float(count), 1.0), obs=torch.tensor(4.0))


def left_dimension():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 3):
        z = pyro.sample("z", dist.Bernoulli(0.3))
        pyro.sample("y", dist.Normal(a + z[0], 1.0), obs=DATA)


def out_of_its_plate():
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 3):
        z = pyro.sample("z", dist.Bernoulli(0.3))
    pyro.sample("y", dist.Normal(a + z.sum(), 1.0), obs=DATA[0])


def largest_over_its_plate():
    a = pyro.sample("a", dist.Normal(0.0, 1.0).expand([3]).to_event(1))
    with pyro.plate("n", 4):
        z = pyro.sample("z", dist.Categorical(torch.ones(3)))
        pyro.sample("y", dist.Normal(a[z] - a[z].max(), 1.0), obs=torch.zeros(4))


def shapes_that_clash():
    a, z = start()
    both = torch.stack([a, a + 1, a + z])
    pyro.sample("y", dist.Normal(both, 1.0).to_event(1), obs=DATA)


@pytest.mark.parametrize(
    "model, found",
    [
        (branch, "control flow .* looks at the summed-out site 'z'.*torch.where"),
        (loop, "control flow .* looks at the summed-out site 'z'"),
        (entry_of_a_list, "control flow .* looks at the summed-out site 'z'"),
        (support, "'x': its support depends on a summed-out discrete site"),
        (random_number_of_sites, "the set of sites is random: 'more_1'"),
        (left_dimension, "site 'y' has log density .* at one state of 'z'"),
        (out_of_its_plate, "site 'y' has log density .* at one state of 'z'"),
        (shapes_that_clash, "cannot be run with all states of 'z' at once"),
    ],
)
def test_refusals(model, found):
    with pytest.raises(ModelError, match=found) as caught:
        discover(model, (), {}, seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mixture_of_two", "one_switch", "markov_chain"])
def test_models_that_broadcast_pass(name):
    example = PROGRAMS[name]
    assert discover(example.model, example.args, example.kwargs, seed=0).discrete


@pytest.mark.parametrize("seed", range(6))
def test_a_reduction_over_states_is_seen_at_any_point(seed):
    with pytest.raises(ModelError, match="site 'y' has log density .* at one state of 'z'"):
        discover(largest_over_its_plate, (), {}, seed)
