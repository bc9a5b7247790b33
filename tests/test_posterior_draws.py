"""The record of draws: chains lie one after the other."""

import numpy as np
import torch

from amortized.posterior_draws import Draws, by_chain


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
