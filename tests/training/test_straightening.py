"""Straightened coordinates: what has no bend, no time or no better weights stays as it is."""

import math
import runpy
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Predictive, Trace_ELBO

from amortized import DiffusionGuide
from amortized.samplers import GFlowNet
from amortized.targets.callable import DensityTarget
from amortized.training.candidates import Candidate, candidate
from amortized.training.preparation import Prepared, prepare
from amortized.training.recipe import PAYING
from amortized.training.straightening import in_straight_coordinates
from amortized.warmup import WarmUp, warm_up
from tests.known import isotropic, seeded

MODELS = Path(__file__).parents[2] / "models"


def maker(expensive):
    return lambda dim, start: GFlowNet(dim, steps=8, reference=start, langevin=False)


def prepared(target, warm: WarmUp) -> Prepared:
    return prepare(target, warm, maker, seeded(3), 0)


def prepared_once(target: DensityTarget) -> tuple[Prepared, Candidate]:
    made = prepared(target, warm_up(target, draws=1_024, generator=seeded(), max_seconds=2.0))
    held_out = made.ends[:512], made.log_ends[:512]
    return made, candidate(made.sampler.process, made.white, held_out, (1,), 0.5, seeded(4))


def test_draws_without_a_bend_are_left_alone():
    made, untrained = prepared_once(isotropic(2))
    assert in_straight_coordinates(made, untrained, prepared, PAYING, 10.0, seeded(5)) == (made, untrained, "")


def test_no_time_is_left_alone():
    made, untrained = prepared_once(isotropic(2))
    calls = made.white.calls
    assert in_straight_coordinates(made, untrained, prepared, PAYING, 1.0, seeded(5))[0] is made
    assert made.white.calls == calls


def bent():
    """The hybrid Rosenbrock of models/, with a wide prior, so that Pyro can draw from it."""
    x = pyro.sample("x", dist.Normal(torch.zeros(5), 100.0).to_event(1))
    first, a, b, c, d = x.unbind(-1)
    bends = (a - first**2).square() + (b - a**2).square() + (c - first**2).square() + (d - c**2).square()
    pyro.factor("density", -((first - 1).square() / 20 + 5 * bends))


@pytest.mark.slow
def test_a_bent_posterior_is_right_and_everything_speaks_of_its_sites():
    """log Z by four million exact draws of the density without the prior, whose error is .003; ours has .002 to .01.

    The loss of SVI is the negative ELBO, here within .2 of log Z; 64 particles know it to .05.
    """
    density = runpy.run_path(str(MODELS / "rosenbrock.py"))
    torch.manual_seed(0)
    draws = density["sample"](4_000_000)["x"]
    prior = dist.Normal(0.0, 100.0).log_prob(draws).sum(-1).double()
    log_evidence = density["LOG_EVIDENCE"][0] + float(prior.logsumexp(0)) - math.log(len(draws))
    guide = DiffusionGuide(bent, progress=False, max_seconds=150).fit()
    record, found = guide.training_record, guide.diagnose()
    assert record is not None and record.source.endswith("in straightened coordinates")
    assert found.verdict == found.evidence_verdict == "trustworthy"
    assert guide.log_evidence().value == pytest.approx(log_evidence, abs=0.04)
    assert Predictive(bent, guide=guide, num_samples=50)()["x"].shape == (50, 5)
    assert list(guide.to_arviz().posterior.data_vars) == ["x"]
    loss = SVI(bent, guide, pyro.optim.Adam({"lr": 1e-5}), Trace_ELBO(num_particles=64)).evaluate_loss()
    assert -loss == pytest.approx(log_evidence - 0.1, abs=0.25)
