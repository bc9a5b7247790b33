"""A model that raises in a part of its space is run elsewhere; one that always raises is not run for long."""

import time

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.targets.pyro import discovery as discovering
from amortized.targets.pyro.discovery import FEW
from amortized.targets.pyro.structure import discover
from amortized.targets.pyro.trace import ModelError
from amortized.targets.troubles import OutsideSupport


def negative(raised):
    if pyro.sample("a", dist.Normal(0.0, 1.0)) < 0:
        raise raised


def unordered(raised):
    a, b, c = [pyro.sample(name, dist.Normal(0.0, 1.0)) for name in "abc"]
    if not a < b < c:
        raise raised


def in_the_ring(raised):
    a, b = [pyro.sample(name, dist.Uniform(-5.0, 5.0)) for name in "ab"]
    z = pyro.sample("z", dist.Bernoulli(0.3))
    if a * a + b * b < 9:
        raise raised
    pyro.sample("y", dist.Normal(a + z, 1.0), obs=torch.tensor(1.0))


def far_from_zero(raised):
    if pyro.sample("a", dist.Normal(100.0, 1.0)) < 95:
        raise raised


@pytest.mark.parametrize("raised", [OutsideSupport, ValueError, ZeroDivisionError])
@pytest.mark.parametrize("model, dim", [(negative, 1), (unordered, 3), (in_the_ring, 2), (far_from_zero, 1)])
def test_a_model_that_raises_in_part_of_its_space_is_legal(model, dim, raised):
    for seed in range(3):
        found = discover(model, (raised,), {}, seed)
        assert found.dim == dim and found.dtype == torch.float32


def test_a_state_at_which_the_model_raises_on_purpose_is_no_fault():
    def model():
        a, z = pyro.sample("a", dist.Normal(0.0, 1.0)), pyro.sample("z", dist.Bernoulli(0.5))
        if (a + z < 0.5).all():
            raise OutsideSupport
        pyro.sample("y", dist.Normal(a + z, 1.0), obs=torch.tensor(1.0))

    for seed in range(5):
        assert discover(model, (), {}, seed).discrete == ("z",)


@pytest.mark.parametrize("raised", [ValueError, RuntimeError])
def test_what_always_fails_is_told_soon(raised, monkeypatch):
    """In two dtypes, and once more in each for what may have been the dtype's fault."""
    monkeypatch.setattr(discovering, "SECONDS", 0.1)
    runs = []

    def model():
        runs.append(time.sleep(0.02))
        pyro.sample("a", dist.Normal(0.0, 1.0))
        raise raised("my own")

    with pytest.raises(raised, match="my own"):
        discover(model, (), {}, 0)
    assert 2 * FEW <= len(runs) <= (2 if raised is ValueError else 4) * (0.1 / 0.02 + 1)


@pytest.mark.parametrize("event", [0, 1])
def test_a_latent_delta_is_told_what_it_should_be(event):
    def model():
        scale = pyro.sample("scale", dist.HalfNormal(torch.ones(3)).to_event(1))
        pyro.sample("twice", dist.Delta(2 * scale).to_event(event))

    with pytest.raises(ModelError, match=r"'twice' is a Delta.*write pyro.deterministic\('twice', VALUE\)"):
        discover(model, (), {}, 0)
