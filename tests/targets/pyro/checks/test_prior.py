"""Draws of a model's prior: the exceptions met there, and sites that come and go."""

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.targets.pyro.checks import prior
from amortized.targets.pyro.checks.prior import troubles_of_prior
from amortized.targets.pyro.program import Program
from amortized.targets.pyro.structure import discover
from amortized.targets.pyro.trace import ModelError
from tests.targets.pyro.test_batching import program


@pytest.mark.parametrize("name", ["improper_regression", "mixture_of_two", "corr_cholesky", "nested_plates"])
def test_a_sound_model_has_no_troubles_and_nothing_is_disturbed(name, monkeypatch):
    monkeypatch.setattr(prior, "WITHIN", 100.0)
    state = torch.get_rng_state()
    troubles = troubles_of_prior(program(name), seed=0)
    assert troubles.evaluations == prior.DRAWS and troubles.sentences() == []
    assert torch.equal(state, torch.get_rng_state())


def test_half_a_second_is_enough(monkeypatch):
    monkeypatch.setattr(prior, "WITHIN", 0.0)
    assert troubles_of_prior(program("real"), seed=0).evaluations == 1


@pytest.mark.parametrize("drawn_more", [True, False])
def test_sites_that_come_and_go_are_refused(drawn_more):
    switch = {"on": not drawn_more}

    def model():
        pyro.sample("x", dist.Normal(0.0, 1.0))
        if switch["on"]:
            pyro.sample("extra", dist.Normal(0.0, 1.0))

    found = Program(model, (), {}, discover(model, (), {}, 0))
    switch["on"] = drawn_more
    with pytest.raises(ModelError, match="depends on a value: site 'extra'"):
        troubles_of_prior(found, seed=0)
