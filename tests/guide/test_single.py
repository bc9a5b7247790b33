"""One seed for all that one fit draws: the target's starts, the warm-up, the network, the paths."""

import inspect

import pyro
import pyro.distributions as dist
import pytest

from amortized import Recipe
from amortized.guide import single
from amortized.guide.options import Options
from amortized.guide.plan import Plan
from amortized.samplers import GFlowNet
from amortized.training import preparation


class Reached(Exception):
    """The preparation was called."""


def model():
    pyro.sample("x", dist.Normal(0.0, 1.0))


@pytest.mark.parametrize("seed", [3, 4])
def test_the_seed_reaches_the_generator_the_network_and_the_target(seed, monkeypatch: pytest.MonkeyPatch):
    given, signature = {}, inspect.signature(preparation.prepare)

    def recorded(*args, **kwargs):
        given.update(signature.bind(*args, **kwargs).arguments)
        raise Reached

    real = single.PyroTarget

    def target(*args, **kwargs):
        given["target_seed"] = kwargs["seed"]
        return real(*args, **kwargs)

    monkeypatch.setattr(single, "prepare", recorded)
    monkeypatch.setattr(single, "PyroTarget", target)
    with pytest.raises(Reached):
        plan = Plan(Options(seed=seed, progress=False), "DiffusionGuide", GFlowNet, Recipe())
        single.Single(model, (), {}, plan)
    assert given["generator"].initial_seed() == given["seed"] == given["target_seed"] == seed
