"""Rounding of a log density, measured against the same model in float64."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.targets.pyro.checks.precision import POINTS, rounding_rms
from amortized.targets.pyro.target import PyroTarget
from tests.known import seeded

DRAWS = torch.randn(POINTS, 1, generator=seeded())


def cancelling(size):
    """``x`` is rounded to a multiple of the float32 spacing h at ``size``, uniformly: an RMS of h / √12."""
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.factor("cancelled", (x + size) - size - x)


@pytest.mark.parametrize("power", [17, 21, 23])
def test_the_rms_is_that_of_rounding_to_a_grid(power):
    """h = 2^(power − 23) at 2^power, half of it below, where half of the draws are: RMS² (h² + h²/4) / 24. Of 64 draws
    the RMS of a uniform error is good to √(4/5) / (2 · 8) = 6 %; 4 of these."""
    spacing = 2.0 ** (power - 23)
    expected = math.sqrt(1.25 * spacing**2 / 24)
    found = rounding_rms(PyroTarget(cancelling, (2.0**power,)), DRAWS)
    assert isinstance(found, float) and abs(found / expected - 1) < 0.24


def test_a_model_in_float64_is_not_rounded():
    def model():
        x = pyro.sample("x", dist.Normal(torch.zeros((), dtype=torch.float64), 1.0))
        pyro.factor("cancelled", (x + 2.0**23) - 2.0**23 - x)

    assert rounding_rms(PyroTarget(model), DRAWS) == 0.0


def test_a_shift_of_all_draws_alike_is_no_rounding():
    """float32 says 16777216 for 2^24 + 1: every draw is off by one."""

    def model(y):
        pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.factor("shift", (y + 1) - y)

    found = rounding_rms(PyroTarget(model, (torch.tensor(2.0**24),)), DRAWS)
    assert isinstance(found, float) and found < 1e-5


def test_a_model_that_knows_float32_alone_says_so():
    weight = torch.ones(2, 1)

    def model(y):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.factor("product", -((weight @ x.reshape(1) - y).square().sum()))

    found = rounding_rms(PyroTarget(model, (torch.zeros(2),)), DRAWS)
    assert found == "not compared with float64: RuntimeError there"
    assert torch.get_default_dtype() == torch.float32


def test_a_model_that_fills_tensors_in_place_is_measured():
    def model(size):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        states = torch.zeros(2)
        states[0] = x + size
        pyro.factor("cancelled", states[0] - size - x)

    target = PyroTarget(model, (2.0**21,))
    assert target.batching.startswith("vmap")
    found = rounding_rms(target, DRAWS)
    assert isinstance(found, float) and abs(found / rounding_rms(PyroTarget(cancelling, (2.0**21,)), DRAWS) - 1) < 0.01


def test_a_slow_model_is_left_out_with_a_word(monkeypatch):
    """.1 s a draw: one draw and seven more are looked at, and the other 56 would take over a second."""
    took = []

    def slowly(work):
        took.append(0.1 * len(work.args[0]))
        return work(), took[-1]

    monkeypatch.setattr("amortized.targets.pyro.checks.precision.timed", slowly)
    assert rounding_rms(PyroTarget(cancelling, (2.0**17,)), DRAWS) == "not compared with float64: it would take 6 s"
    assert took == pytest.approx([0.1, 0.7])


def test_few_draws_are_enough_to_compare():
    assert isinstance(rounding_rms(PyroTarget(cancelling, (2.0**17,)), DRAWS[:3]), float)


def test_no_more_draws_are_held_together_than_the_density_holds():
    seen = []

    def model():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.factor("cancelled", (x + 2.0**23) - 2.0**23 - x)

    target = PyroTarget(model)
    together, plain = rounding_rms(target, DRAWS), target.batched

    def counted(program):
        batching = plain(program)
        log_prob = batching.log_prob
        batching.log_prob = lambda x: (seen.append(len(x)), log_prob(x))[1]
        return batching

    target.together, target.batched = 5, counted
    assert rounding_rms(target, DRAWS) == pytest.approx(together, rel=1e-6)
    assert max(seen) == 5 and sum(seen) == POINTS
