"""Every baseline hands back the same record of the same target."""

import inspect

import pytest
import torch

from amortized import baselines
from amortized.results.draws import Draws
from tests.baselines import known
from tests.contracts.discovery import modules_with

MODULES = modules_with(baselines, "run")
SMALL = {
    "chains": 4,
    "warmup": 40,
    "particles": 32,
    "islands": 2,
    "live_points": 30,
    "steps": 50,
    "draws": 24,
    "thin": 2,
    "jobs": 1,
}
"""Enough to run; every method takes those that it knows."""


def names(module) -> list[str]:
    return list(inspect.signature(module.run).parameters)


def run(module, *arguments, seed: int = 1) -> Draws:
    return module.run(*arguments, seed=seed, **{name: SMALL[name] for name in names(module) if name in SMALL})


def test_the_baselines_that_there_are():
    found = {module.__name__.rpartition(".")[2] for module in MODULES}
    assert found >= {"nuts", "mala", "hmc", "smc", "nested", "svi"}


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_the_record_is_complete(module):
    target = known.skewed_mixture()
    draws = run(module, target)
    count = len(draws)
    assert draws.target is target and draws.method and draws.seconds > 0
    assert draws.states is not None and draws.states.shape == (count, 2) and draws.states.dtype == target.dtype
    assert bool(draws.states.isfinite().all())
    assert draws.target_calls == target.calls >= 24
    sites = target.constrain(draws.states)
    assert list(sites) == list(draws.sites) and torch.equal(sites["x"], draws.sites["x"])
    assert count % draws.chains == 0 and draws.arrays()["x"].shape == (draws.chains, count // draws.chains, 2)
    assert float(draws.attributes["ess"]) > 0
    assert all(isinstance(value, (int, float, str)) for value in draws.attributes.values())
    if draws.log_weights is not None:
        assert draws.log_weights.shape == (count,) and draws.log_weights.dtype == torch.float64
    if draws.log_evidence is not None:
        assert abs(draws.log_evidence.value - known.LOG_Z) < 5 and draws.log_evidence.std_error >= 0


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_model_is_taken_with_its_arguments(module):
    draws = run(module, known.conjugate, (known.CONJUGATE_DATA,), {"scale": 1.0})
    assert list(draws.sites) == ["mean"]
    assert abs(float(draws.sites["mean"].mean()) - known.CONJUGATE_MEAN) < 3


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_all_take_the_same_first_arguments_and_a_seed(module):
    parameters = inspect.signature(module.run).parameters
    assert list(parameters)[:3] == ["target", "args", "kwargs"] and parameters["seed"].default == 0
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in list(parameters.values())[3:])
