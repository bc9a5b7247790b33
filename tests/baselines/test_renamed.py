"""Old names of keyword arguments still work, with a warning that says what to write."""

import inspect

import pytest
import torch

from amortized.baselines import hmc, mala, smc
from tests.baselines import known


def test_an_old_name_gives_the_same_draws_and_a_warning():
    options = {"chains": 4, "warmup": 8, "draws": 4}
    with pytest.warns(DeprecationWarning, match="max_leapfrogs is now called max_num_steps: write max_num_steps="):
        old = hmc.run(known.skewed_mixture(), **options, max_leapfrogs=2)
    assert torch.equal(old.states, hmc.run(known.skewed_mixture(), **options, max_num_steps=2).states)


@pytest.mark.parametrize("module", [hmc, mala, smc])
def test_the_signature_shows_new_names_alone(module):
    assert not {"max_leapfrogs", "target_acceptance"} & set(inspect.signature(module.run).parameters)
