"""Data named by their site must enter the model there alone."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.trace import ModelError

DATA = torch.tensor([0.3, -0.2, 0.5, 0.1])


def by_argument(y):
    slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
    previous = torch.tensor(0.0)
    for time in range(len(y)):
        pyro.sample(f"y_{time}", dist.Normal(slope * previous, 1.0), obs=y[time])
        previous = y[time]


def by_site(y):
    slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
    previous = torch.tensor(0.0)
    for time in range(len(y)):
        previous = pyro.sample(f"y_{time}", dist.Normal(slope * previous, 1.0), obs=y[time])


def lagged(y):
    slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
    mean = slope * torch.cat([torch.zeros(1), y[:-1]])
    pyro.sample("all", dist.Normal(mean, 1.0).to_event(1), obs=y)


SITES = ("y_0", "y_1", "y_2", "y_3")


@pytest.mark.parametrize(("model", "amortize"), [(by_argument, SITES), (lagged, "all")])
def test_an_argument_that_is_read_elsewhere_is_refused(model, amortize):
    with pytest.raises(ModelError, match=r"argument 'y' is read in another place .* previous = pyro.sample"):
        ConditionalTarget(model, amortize, (DATA,), capture_seconds=0.0)


def test_a_model_that_reads_its_sites_has_their_density():
    target = ConditionalTarget(by_site, SITES, (DATA,), capture_seconds=0.0)
    other = DATA.flip(0)
    slope = torch.tensor([[0.7]])
    steps = dist.Normal(0.7 * torch.cat([torch.zeros(1), other[:-1]]), 1.0).log_prob(other).sum()
    expected = steps + dist.Normal(0.0, 1.0).log_prob(slope[0, 0])
    torch.testing.assert_close(target.at(other[None]).log_prob(slope)[0], expected)


def test_what_is_not_amortized_over_may_be_read_anywhere():
    def partly(y, start):
        slope = pyro.sample("slope", dist.Normal(start, 1.0))
        pyro.sample("y_0", dist.Normal(slope, 1.0), obs=y[0])
        pyro.sample("y_1", dist.Normal(slope * y[1], 1.0), obs=y[1])

    ConditionalTarget(partly, "y_0", (DATA, torch.tensor(1.0)), capture_seconds=0.0)
