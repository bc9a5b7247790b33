"""A model whose data enter anywhere but at their sites, or that counts the rows of a set, is refused by name."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.trace import ModelError
from tests.known import seeded

SETS = [torch.randn(count, generator=seeded(count)) for count in (4, 2, 5)]
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


def sized(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mean, float(len(y))), obs=y)


def penalised(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    pyro.factor("penalty", -len(y) * mean.square())
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y)


def labelled(y):
    place = pyro.sample("place", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(y)):
        which = pyro.sample("which", dist.Categorical(torch.tensor([0.3, 0.7])))
        pyro.sample("y", dist.Normal(place * which, 1.0), obs=y)


@pytest.mark.parametrize(("model", "site"), [(sized, "y"), (penalised, "penalty")])
def test_the_number_of_rows_is_no_constant_of_the_model(model, site):
    message = f"site '{site}' has log density .* for a set of 2 rows, .* missing rows up to 5: .* of its own"
    with pytest.raises(ModelError, match=message):
        ConditionalTarget(model, "y", (SETS,))
    ConditionalTarget(model, "y", (torch.stack([SETS[0], SETS[0]]),))


def test_labels_of_missing_rows_do_not_count():
    assert ConditionalTarget(labelled, "y", (SETS,)).dim == 1
