"""Planted failures, by guides that were really fitted: each is seen, and what was left out is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized import DiffusionGuide, Recipe
from amortized.diagnostics.drift import Drift
from amortized.diagnostics.mode_search import ModeSearch, Unbounded
from amortized.diagnostics.remedies import PROPER
from amortized.diagnostics.verdict import UNTRUSTED
from amortized.files.model import imported
from amortized.processes import OrnsteinUhlenbeck
from amortized.processes.mixture_reference import MixtureReference
from amortized.results.looks import scales
from amortized.results.posterior import Posterior
from amortized.samplers import DiffusionSampler
from amortized.targets.affine import WhitenedTarget
from amortized.targets.pyro.target import PyroTarget
from amortized.warmup.modes import refuse_improper
from tests.known import FIVE_MEANS, FIVE_SDS, FIVE_WEIGHTS, five_modes, network, seeded

QUICK = Recipe(bridge_steps=50, steps=50, every=50, held_out=256)
PRIOR_SCALE = 1.0
PLANTED = Path(__file__).parents[2] / "benchmarks" / "planted_failures.py"


def conjugate(y):
    mean = pyro.sample("mean", dist.Normal(0.0, PRIOR_SCALE))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


def quick(**options) -> DiffusionGuide:
    return DiffusionGuide(conjugate, progress=False, recipe=QUICK, **options)


@pytest.fixture(scope="module")
def guide():
    return quick().fit(torch.tensor([1.0, 2.0, 3.0]))


def test_everything_is_looked_at_once_and_changes_no_draw(guide):
    found = guide.diagnose()
    assert found.verdict == "trustworthy"
    assert isinstance(found.checks.drift, Drift) and isinstance(found.checks.mode_search, ModeSearch)
    assert found.checks.target_calls == guide.target.calls > 0
    state, calls = guide.at().generator.get_state(), guide.target.calls
    again = guide.diagnose()
    assert again.checks.drift is found.checks.drift and again.checks.mode_search is found.checks.mode_search
    assert torch.equal(guide.at().generator.get_state(), state)
    assert guide.target.calls - calls < 1_000


def test_data_edited_in_place_are_noticed():
    y = torch.tensor([1.0, 2.0, 3.0])
    guide = quick().fit(y)
    y += 1.0
    found = guide.diagnose()
    assert found.verdict == UNTRUSTED and "changed since the fit" in found.advice
    y -= 1.0
    assert guide.diagnose().verdict == "trustworthy"


def test_an_edited_global_is_noticed(guide, monkeypatch):
    monkeypatch.setattr("tests.results.test_posterior.PRIOR_SCALE", 3.0)
    assert guide.diagnose().verdict == UNTRUSTED
    monkeypatch.undo()
    assert guide.diagnose().verdict == "trustworthy"


def test_positive_sites_are_scales():
    """Also under a plate, with a bound for each, or up to one; a probability is none."""
    bounds = torch.zeros(2), torch.ones(2)

    def model():
        pyro.sample("place", dist.Normal(0.0, 1.0))
        pyro.sample("scale", dist.HalfNormal(1.0).expand([2]).to_event(1))
        pyro.sample("bounded", dist.Uniform(0.0, 100.0))
        pyro.sample("share", dist.Beta(1.0, 1.0))
        pyro.sample("unit", dist.Uniform(*bounds).to_event(1))
        pyro.sample("wide", dist.Uniform(bounds[0], 9 * bounds[1]).to_event(1))

    assert scales(PyroTarget(model).latents) == ("scale[0]", "scale[1]", "bounded", "wide[0]", "wide[1]")


ASKED = {
    "sample": lambda guide: guide.sample(10),
    "draws": lambda guide: guide.draws(10),
    "of a posterior in hand": lambda guide: guide.at().sample(10),
    "quantiles": lambda guide: guide.quantiles([0.5]),
    "median": lambda guide: guide.median(),
    "to_arviz": lambda guide: guide.to_arviz(),
    "log_evidence": lambda guide: guide.log_evidence(),
    "log_weights": lambda guide: guide.log_weights(10),
    "report": lambda guide: guide.report("never_written.html"),
}


@pytest.mark.parametrize("asked", ASKED)
def test_a_guide_whose_model_has_changed_refuses(guide, asked, monkeypatch):
    monkeypatch.setattr("tests.results.test_posterior.PRIOR_SCALE", 3.0)
    guide.target._next_look = 0.0
    with pytest.raises(RuntimeError, match=r"has changed since the fit \(the log density .* write guide.fit"):
        ASKED[asked](guide)
    monkeypatch.undo()
    assert len(guide.sample(10)["mean"]) == 10


def test_draws_that_are_worth_few_are_told(guide):
    posterior = guide.fitted.new_posterior()
    weights = posterior.weights()
    few = torch.where(torch.arange(len(weights)) < 4, weights, -torch.inf)
    vars(posterior)["fresh"] = replace(posterior.fresh, log_weights=few)
    with pytest.warns(UserWarning, match="1,000 draws from 16,000 paths are worth about . independent ones") as told:
        posterior.sample(1_000)
    assert told[0].filename == __file__


def test_the_pool_is_cut_where_it_would_take_too_long(guide):
    posterior = replace(guide.fitted.new_posterior(), draws_within=1.0)
    assert 0 < posterior.fresh.seconds_a_path < 0.1
    posterior.reverse_weights()
    vars(posterior)["fresh"], before = replace(posterior.fresh, seconds_a_path=1e-3), guide.target.calls
    with pytest.warns(UserWarning, match=r"2,500 draws take about 2 s here: write sample\(1000\)") as told:
        drawn = posterior.draws(2_500, verdict=False)
    assert told[0].filename == __file__
    assert len(drawn) == 2_500 and drawn.target_calls == guide.target.calls - before


def test_what_would_take_too_long_is_said(guide):
    posterior = replace(guide.fitted.new_posterior(), checks_within=1e-9)
    found = posterior.diagnose()
    assert "would take" in found.checks.mode_search and "explore(seconds=" in found.checks.mode_search
    assert "would take" in found.checks.drift
    assert isinstance(posterior.explore(60.0), ModeSearch)
    assert isinstance(posterior.diagnose().checks.mode_search, ModeSearch)


def test_a_search_that_cannot_begin_says_why(guide, monkeypatch):
    def broken(*_):
        raise ValueError("no Gaussian fits")

    monkeypatch.setattr("amortized.diagnostics.mass_search.find_modes", broken)
    posterior = guide.fitted.new_posterior()
    assert posterior.explore(60.0) == "not looked at: no Gaussian fits"


def test_a_search_that_climbs_without_end_is_not_trusted(guide, monkeypatch):
    monkeypatch.setattr("amortized.diagnostics.mass_search.find_modes", lambda *_: refuse_improper(1e13))
    posterior = guide.fitted.new_posterior()
    assert isinstance(posterior.explore(60.0), Unbounded)
    found = posterior.diagnose()
    assert found.verdict == UNTRUSTED and "looks improper" in found.advice and PROPER in found.advice


def test_a_clock_too_coarse_to_see_a_density_is_no_error(guide, monkeypatch):
    monkeypatch.setattr("amortized.results.looks.seconds_a_particle", lambda *_: 0.0)
    checks = replace(guide.fitted.new_posterior(), explores=False).checks()
    assert isinstance(checks.drift, Drift) and checks.troubled == 0.0


def test_a_guide_of_one_mode_of_two_is_not_trusted():
    """A warm-up that never saw the other half: weights, bounds and held-out draws are all perfect."""
    planted = vars(imported(PLANTED))
    found = planted["one_of_two_modes"](0, 5.0).diagnose()
    assert found.ess_fraction > 0.5 and found.unseen < 0.02
    assert found.verdict == UNTRUSTED and "independent search found" in found.advice


@pytest.mark.slow
@pytest.mark.parametrize("case", ["without_a_rare_mode", "stopped_after_five_steps", "too_narrow"])
def test_planted_failures_are_not_trusted(case):
    planted = vars(imported(PLANTED))
    assert planted["PLANTED"][case](0, 30.0).diagnose().verdict == UNTRUSTED


@pytest.mark.slow
def test_the_search_finds_what_the_warm_up_s_law_lost():
    """A sampler of three of five modes, the others of .05 each: errors of share and log Z by 4 of their own."""
    weights, factors = FIVE_WEIGHTS[:3], FIVE_SDS[:3, None, None] * torch.eye(10, dtype=torch.float64)
    reference = MixtureReference(weights / weights.sum(), FIVE_MEANS[:3], factors)
    sampler = DiffusionSampler(OrnsteinUhlenbeck(16, reference=reference), network(10))
    posterior = Posterior(
        sampler, WhitenedTarget(five_modes()[0], torch.zeros(10), torch.eye(10)), seeded(), "it", 1000
    )
    found = posterior.explore(60.0)
    assert isinstance(found, ModeSearch) and found.found_more
    assert abs(found.unseen.value - 0.1) < 4 * found.unseen.std_error + 0.01
    assert abs(found.log_evidence.value) < 4 * found.log_evidence.std_error
