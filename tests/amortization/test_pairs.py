"""Pairs are simulated afresh where that is cheap, else drawn from a pool; models that give none are refused."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.amortization import pairs
from amortized.amortization.pairs import Pairs
from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.trace import ModelError
from tests.amortization.quick import conjugate, data_sets
from tests.known import seeded
from tests.targets.conditional.test_simulation import centred_on_data


def overflowing(y):
    scale = pyro.sample("scale", dist.Cauchy(0.0, 30.0))
    pyro.sample("y", dist.Normal(scale.exp(), 1.0).expand([2]).to_event(1), obs=y)


def family(model, y) -> ConditionalTarget:
    return ConditionalTarget(model, "y", (y,), capture_seconds=0.0)


@pytest.mark.parametrize("cheap", [True, False])
def test_cheap_pairs_are_new_each_time_and_dear_ones_are_kept(cheap, monkeypatch):
    monkeypatch.setattr(pairs, "CHEAP", 1.0 if cheap else 0.0)
    made = Pairs(family(conjugate, data_sets(3)), 500, 60.0, seeded())
    assert made.x.shape == (500, 1) and made.rows.shape == (500, 5)
    generator = seeded(1)
    x, rows = made.draw(40, generator)
    known = {tuple(row) for row in torch.cat([made.x, made.rows], 1).tolist()}
    drawn = {tuple(row) for row in torch.cat([x, rows], 1).tolist()}
    assert drawn.isdisjoint(known) if cheap else drawn <= known
    assert not torch.equal(made.draw(40, generator)[0], x)
    if cheap:  # a block of 2,048 is simulated at once, and none of its pairs is given twice
        several = torch.cat([rows, *(made.draw(500, generator)[1] for _ in range(4))])
        assert len(several.unique(dim=0)) == len(several)
        assert torch.equal(Pairs(made.target, 500, 60.0, seeded()).draw(40, seeded(1))[0], x)
    else:
        assert torch.equal(made.draw(40, seeded(1))[0], x)


def test_time_limits_the_pool():
    assert len(Pairs(family(conjugate, data_sets(3)), 100_000, 0.0, seeded()).x) == pairs.AT_ONCE


def test_a_prior_whose_data_overflow_is_refused():
    with pytest.raises(ValueError, match="data sets simulated from the model's prior are not finite; give the"):
        Pairs(family(overflowing, torch.ones(3, 2)), 2_000, 60.0, seeded())


def test_a_model_that_uses_its_data_twice_is_refused():
    with pytest.raises(ModelError, match="the model uses y in another place"):
        Pairs(family(centred_on_data, torch.ones(2, 3)), 100, 60.0, seeded())
