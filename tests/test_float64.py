"""Double precision from end to end: by torch's default dtype, and in a float64 model under float32's default."""

from __future__ import annotations

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.optim import Adam  # pyright: ignore[reportAttributeAccessIssue]

import amortized
from amortized import DiffusionGuide, Recipe, compare
from amortized.targets.affine import WhitenedTarget
from amortized.targets.callable import DensityTarget
from amortized.targets.pyro.target import PyroTarget
from tests.amortization.quick import BRIEF, shortened
from tests.contracts.test_baselines import MODULES, run

QUICK = Recipe(bridge_steps=20, steps=20, every=20, held_out=128)
DATA = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
MEAN, SD = 24 / 13, 13**-0.5
EVIDENCE = float(
    dist.MultivariateNormal(torch.zeros(3).double(), 0.25 * torch.eye(3).double() + torch.ones(3, 3).double()).log_prob(
        DATA
    )
)


def conjugate(y):
    mean = pyro.sample("mean", dist.Normal(0.0, torch.ones((), dtype=y.dtype)))
    pyro.deterministic("twice", 2 * mean)
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


def schools(y, sigma):
    mu, tau = pyro.sample("mu", dist.Normal(0.0, 5.0)), pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("school", 8):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("y", dist.Normal(theta, sigma), obs=y)


@pytest.fixture(scope="module", params=[torch.float64, torch.float32], ids=["by default", "in the model alone"])
def guide(request):
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield DiffusionGuide(conjugate, progress=False, recipe=QUICK, max_seconds=3).fit(DATA)
    torch.set_default_dtype(before)


def double(tensors) -> bool:
    return all(tensor.dtype == torch.float64 for tensor in tensors)


def test_draws_are_double_and_right(guide):
    """4,000 draws: the mean within five of its standard errors; log Z within five of its own."""
    for correction in ("resample", "none", "mcmc", "sequential"):
        draws = guide.sample(4_000 if correction == "resample" else 50, correction=correction)
        assert draws.keys() == {"mean", "twice"} and double(draws.values())
    mean = guide.sample(4_000)["mean"]
    assert abs(float(mean.mean()) - MEAN) < 5 * SD / math.sqrt(4_000 / 2)
    evidence = guide.log_evidence()
    assert abs(evidence.value - EVIDENCE) < 5 * evidence.std_error + 1e-6


def test_the_networks_dtype_is_torchs_default(guide):
    assert {parameter.dtype for parameter in guide.parameters()} == {torch.get_default_dtype()}


def test_what_is_made_of_the_draws(guide):
    assert guide.diagnose().verdict  # a fit of three seconds may be any of the three on a busy machine
    assert double(guide.at().draws(20).sites.values())
    assert guide.at().to_arviz(50).posterior["mean"].dtype == "float64"


@pytest.mark.slow
def test_what_is_compared_and_reported(guide, tmp_path):
    assert compare({"one": guide, "other": guide}) is not None
    guide.report(tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size > 10_000


def test_as_a_guide_of_pyros(guide):
    made = Predictive(conjugate, guide=guide, num_samples=5)(DATA)
    assert made["mean"].dtype == torch.float64
    step = SVI(conjugate, guide, Adam({"lr": 1e-3}), Trace_ELBO()).step
    assert math.isfinite(step(DATA))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_baseline(module, in_double_precision):
    assert double(run(module, conjugate, (DATA,)).sites.values())


def test_an_amortized_guide(in_double_precision, monkeypatch):
    shortened(monkeypatch, 20)
    made = DiffusionGuide(conjugate, amortize="y", recipe=BRIEF, progress=False, max_seconds=3)
    guide = made.fit(torch.randn(20, 5))
    assert double(guide.sample(20, torch.randn(5)).values())
    assert {parameter.dtype for parameter in guide.parameters()} == {torch.float64}


@pytest.mark.slow
def test_what_else_an_amortized_guide_of_sets_does(in_double_precision, monkeypatch):
    shortened(monkeypatch, 20)
    guide = DiffusionGuide(conjugate, amortize="y", recipe=BRIEF, progress=False).fit([torch.randn(4), torch.randn(6)])
    new = torch.randn(5)
    assert guide.at(new).diagnose().verdict
    assert guide.calibrate(20, draws=9)
    assert double(guide.refine(new, seconds=0.2).sample(5).values())


@pytest.mark.slow
def test_the_eight_schools(in_double_precision):
    y = torch.tensor([28.0, 8, -3, 7, -1, 1, 18, 12]), torch.tensor([15.0, 10, 16, 11, 9, 11, 10, 18])
    guide = DiffusionGuide(schools, progress=False, max_seconds=20).fit(*y)
    assert double(guide.sample(1_000).values())
    assert abs(guide.log_evidence().value + 31.311) < 0.15


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["TB", "SubTB", "FLSubTB", "DB", "VarGrad", "PIS", "DDS", "DIS", "Mixture"])
def test_every_named_guide(kind, in_double_precision):
    guide = getattr(amortized, f"{kind}Guide")(conjugate, progress=False, max_seconds=3).fit(DATA)
    assert double(guide.sample(20).values())


def test_densities_and_their_whitening_follow(in_double_precision):
    target = DensityTarget(lambda x: -0.5 * x.square().sum(-1), 2)
    white = WhitenedTarget(target, torch.zeros(2), torch.eye(2))
    assert target.dtype == white.dtype == torch.float64
    assert double(white.log_prob_and_score(torch.zeros(1, 2)))
    assert PyroTarget(conjugate, (DATA,)).dtype == torch.float64
