"""The messenger fixes latents and parameters, and what surrounds a pass leaves no trace."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from amortized.targets.pyro.inverting import Inverting
from amortized.targets.pyro.structure import discover
from amortized.targets.pyro.trace import Placing, undisturbed, unmasked
from tests.targets.programs import PROGRAMS


def test_placing_and_inverting_are_inverse():
    model = PROGRAMS["corr_cholesky"].model
    found = discover(model, PROGRAMS["corr_cholesky"].args, {}, 0)
    placing = Placing({}, found.latents, {"factor": torch.tensor([0.3, -0.2, 0.8])})
    with placing:
        model(*PROGRAMS["corr_cholesky"].args)
    inverting = Inverting({}, placing.values)
    with inverting:
        model(*PROGRAMS["corr_cholesky"].args)
    torch.testing.assert_close(inverting.found["factor"], torch.tensor([0.3, -0.2, 0.8]))
    assert placing.log_dets["factor"].shape == ()


def test_a_missing_value_is_named():
    with pytest.raises(ValueError, match="latent site 'x'; got \\['z'\\]"), Inverting({}, {"z": torch.zeros(())}):
        pyro.sample("x", dist.Normal(0.0, 1.0))


def test_parameters_are_held_at_their_first_value():
    held = {}
    for start in (0.5, 0.9):
        pyro.clear_param_store()
        with Placing(held, {}, {}):
            assert pyro.param("a", torch.tensor(start)).item() == 0.5


def test_undisturbed():
    state = torch.get_rng_state()
    with undisturbed():
        torch.rand(3)
        pyro.param("a", torch.tensor(1.0))
        dist.Normal(0.0, -1.0)
    assert torch.equal(state, torch.get_rng_state())
    assert not list(pyro.get_param_store().keys())
    with pytest.raises(ValueError, match="scale"):
        dist.Normal(0.0, -1.0)


def test_what_is_masked_by_a_handler_or_by_the_distribution():
    inside = dist.Normal(torch.zeros(2, 3), 1.0).mask(torch.tensor([True, False, True])).to_event(1)

    def model():
        with poutine.mask(mask=torch.tensor([True, False])):
            pyro.sample("rows", inside, obs=torch.zeros(2, 3))
            pyro.sample("none", dist.Normal(torch.zeros(2), 1.0).mask(False), obs=torch.zeros(2))

    sites = poutine.trace(model).get_trace().nodes
    assert unmasked(sites["rows"]).tolist() == [[True, False, True], [False, False, False]]
    assert not unmasked(sites["none"]).any()


def test_without_a_device_the_random_states_of_all_that_are_in_use_are_kept(monkeypatch):
    kept = []
    fork = torch.random.fork_rng

    def fork_rng(devices):
        kept.append(devices)
        return fork(devices=[])

    monkeypatch.setattr(torch.random, "fork_rng", fork_rng)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    for device in (None, torch.device("cpu"), torch.device("cuda:1")):
        with undisturbed(device):
            pass
    assert kept == [[0, 1], [], [torch.device("cuda:1")]]
