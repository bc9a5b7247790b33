"""One seed for all that one fit draws: the target's starts, the warm-up, the network, the paths."""

import inspect
from types import SimpleNamespace
from typing import cast

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


def test_a_fit_like_another_records_and_chooses_nothing(monkeypatch: pytest.MonkeyPatch):
    other = SimpleNamespace(target=single.PyroTarget(model), coordinates={"x": "moved by the other"})
    given = {}

    def refused(*args, **kwargs):
        raise AssertionError("a density was recorded again")

    def warmed(target, generator, *args, **kwargs):
        given.update(target=target, seed=generator.initial_seed())
        raise Reached

    monkeypatch.setattr(single, "PyroTarget", refused)
    monkeypatch.setattr(single, "in_chosen_coordinates", refused)
    monkeypatch.setattr(single, "warm_up_checked", warmed)
    plan = Plan(Options(seed=9, progress=False), "DiffusionGuide", GFlowNet, Recipe())
    with pytest.raises(Reached):
        single.Single(model, (), {}, plan, cast(single.Single, other))
    assert given["target"] is not other.target and given["target"].program is other.target.program
    assert given["seed"] == 9


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
