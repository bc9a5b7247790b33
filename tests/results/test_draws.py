"""The record of draws: chains lie one after the other."""

import arviz
import numpy as np
import pyro
import pyro.distributions as dist
import torch
from pyro import poutine

from amortized.results.draws import Draws, by_chain
from amortized.targets.pyro.target import PyroTarget


def test_chains_lie_one_after_the_other():
    value = torch.arange(6.0, requires_grad=True)
    assert by_chain(value, chains=2).tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert by_chain(torch.zeros(4, 3, 2), chains=2).shape == (2, 2, 3, 2)


def test_draws_know_their_number_and_shape():
    draws = Draws(sites={"scale": torch.rand(8), "effect": torch.rand(8, 3)}, method="test", chains=4)
    assert len(draws) == 8
    arrays = draws.arrays()
    assert {name: array.shape for name, array in arrays.items()} == {"scale": (4, 2), "effect": (4, 2, 3)}
    assert isinstance(arrays["scale"], np.ndarray)


def test_arviz_takes_no_masked_term_for_an_influential_one():
    """``az.loo`` warns of the Pareto index of a constant term, and is NaN for a NaN."""
    known, data = torch.arange(20) % 4 > 0, torch.linspace(-1.0, 1.0, 20)

    def model():
        mean = pyro.sample("mean", dist.Normal(0.0, 10.0))
        with pyro.plate("rows", 20), poutine.mask(mask=known):
            pyro.sample("y", dist.Normal(mean, 1.0), obs=data)

    target = PyroTarget(model)
    noise = torch.randn(500, 1, generator=torch.Generator().manual_seed(0))
    draws = (data[known].sum() + 15.01**0.5 * noise) / 15.01
    terms = target.pointwise_log_likelihood(draws)["y"]
    assert terms.isnan().all(0).equal(~known)
    record = Draws({"mean": draws[:, 0]}, "exact", states=draws, target=target).to_arviz()
    assert record["log_likelihood"]["y"].shape == (1, 500, 15)
    found = arviz.loo(record)
    assert not found.warning and found.n_data_points == 15
