"""A model that uses the number of rows cannot take sets with missing rows; one that does not can."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.trace import ModelError
from tests.known import seeded

SETS = [torch.randn(count, generator=seeded(count)) for count in (4, 2, 5)]


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
