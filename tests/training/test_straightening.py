"""Straightened coordinates: a bend is right by default, in every way out of the guide."""

import math
from dataclasses import replace

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import Predictive, Trace_ELBO

from amortized import DiffusionGuide
from amortized.samplers import GFlowNet
from amortized.targets.callable import DensityTarget
from amortized.targets.curved import CurvedTarget
from amortized.targets.transformed import origin
from amortized.training.candidates import Candidate, candidate
from amortized.training.preparation import Prepared, prepare
from amortized.training.recipe import PAYING
from amortized.training.straightening import in_straight_coordinates
from amortized.warmup import WarmUp, warm_up
from tests.known import isotropic, seeded


def maker(expensive):
    return lambda dim, start: GFlowNet(dim, steps=8, reference=start, langevin=False)


def prepared(target, warm: WarmUp) -> Prepared:
    return prepare(target, warm, maker, seeded(3), 0)


def prepared_once(target: DensityTarget) -> tuple[Prepared, Candidate]:
    made = prepared(target, warm_up(target, draws=1_024, generator=seeded(), max_seconds=2.0))
    held_out = made.ends[:512], made.log_ends[:512]
    return made, candidate(made.sampler.process, made.white, held_out, (1,), 0.5, seeded(4))


def twice_bent(x: torch.Tensor) -> torch.Tensor:
    """x → x² → x⁴ with Z = 1."""
    a, b, c = x.unbind(-1)
    squares = ((a - 1) / 2) ** 2 + ((b - a**2) / 0.5) ** 2 + ((c - b**2) / 0.5) ** 2
    return -0.5 * squares - math.log(2 * 0.5 * 0.5) - 1.5 * math.log(2 * math.pi)


def test_draws_without_a_bend_are_left_alone():
    made, untrained = prepared_once(isotropic(2))
    assert in_straight_coordinates(made, untrained, prepared, PAYING, 10.0, seeded(5)) == (made, untrained, "")


def test_no_time_and_many_dimensions_are_left_alone():
    made, untrained = prepared_once(isotropic(2))
    calls = made.white.calls
    assert in_straight_coordinates(made, untrained, prepared, PAYING, 1.0, seeded(5))[0] is made
    assert made.white.calls == calls


ALWAYS_TRIED = replace(PAYING, even=0.99, bridge_steps=50, steps=50, every=50)
"""No mixture is so even; and little training, so that the time goes to the coordinates."""


@pytest.fixture(scope="module")
def guide() -> DiffusionGuide:
    def model():
        x = pyro.sample("x", dist.ImproperUniform(dist.constraints.real_vector, (), (3,)))
        pyro.factor("density", twice_bent(x))
        pyro.deterministic("first", x[..., 0])

    return DiffusionGuide(model, seed=0, progress=False, recipe=ALWAYS_TRIED, max_seconds=40.0).fit()


@pytest.mark.slow
def test_a_bend_of_a_bend_is_right_and_trusted(guide):
    """a ~ N(1, 2²), so the mean of 4,000 draws has an error of .03, the std of .02; five of them."""
    assert guide.training_record is not None and "straightened" in guide.training_record.source
    found, a = guide.diagnose(), guide.sample(4_000)["first"]
    assert found.verdict != "not to be trusted"
    assert abs(float(a.mean()) - 1) < 0.16 and abs(float(a.std()) - 2) < 0.11
    assert abs(found.log_evidence.value) < 0.1


@pytest.mark.slow
def test_every_way_out_speaks_the_models_coordinates(guide):
    """b − a² is N(0, .5²) in all of them, which no other coordinates have."""
    white = guide.fitted.prepared.white
    assert isinstance(white.target, CurvedTarget) and origin(white) is guide.target
    drawn = guide.draws(2_000)
    x = drawn.sites["x"]
    torch.testing.assert_close(drawn.states, x)
    predicted = Predictive(guide.model, guide=guide, num_samples=500)()["x"].reshape(500, 3)
    arviz = torch.as_tensor(guide.to_arviz(1_000).posterior["x"].values).reshape(-1, 3)
    for values in (x, predicted, arviz):
        assert abs(float((values[:, 1] - values[:, 0] ** 2).std()) - 0.5) < 0.1


@pytest.mark.slow
def test_the_bound_of_svi_is_that_of_the_weights(guide):
    """The ELBO of Pyro's guide is the mean log weight of its paths; both from 2,000 paths, each with std under 1."""
    sampler, white = guide.fitted.sampler, guide.fitted.prepared.white
    with torch.no_grad():
        expected = float(sampler.sample(white, 2_000, seeded(9))[1].mean())
        bound = -Trace_ELBO(num_particles=400, vectorize_particles=True).loss(guide.model, guide)
    assert abs(bound - expected) < 0.5
