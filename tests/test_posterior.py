"""Planted failures, by guides that were really fitted: each is seen, and what was left out is said."""

from __future__ import annotations

import runpy
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized import DiffusionGuide, Recipe
from amortized.diagnostics.drift import Drift
from amortized.diagnostics.exploration import Exploration
from amortized.diagnostics.verdict import UNTRUSTED
from amortized.posterior import Posterior
from amortized.processes import OrnsteinUhlenbeck
from amortized.processes.mixture_reference import MixtureReference
from amortized.samplers import DiffusionSampler
from amortized.targets.whitening import WhitenedTarget
from tests.known import FIVE_MEANS, FIVE_SDS, FIVE_WEIGHTS, five_modes, network, seeded

QUICK = Recipe(bridge_steps=50, steps=50, every=50, held_out=256)
PRIOR_SCALE = 1.0
PLANTED = Path(__file__).parents[1] / "benchmarks" / "planted_failures.py"


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
    assert isinstance(found.checks.drift, Drift) and isinstance(found.checks.exploration, Exploration)
    assert found.checks.target_calls == guide.target.calls > 0
    state, calls = guide.at().generator.get_state(), guide.target.calls
    again = guide.diagnose()
    assert again.checks.drift is found.checks.drift and again.checks.exploration is found.checks.exploration
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
    monkeypatch.setattr("tests.test_posterior.PRIOR_SCALE", 3.0)
    assert guide.diagnose().verdict == UNTRUSTED
    monkeypatch.undo()
    assert guide.diagnose().verdict == "trustworthy"


def test_what_would_take_too_long_is_said(guide):
    posterior = guide.fitted.posterior(guide.sampler, "guide", guide.recipe)
    posterior.checks_within = 1e-9
    found = posterior.diagnose()
    assert "would take" in found.checks.exploration and "explore(seconds=" in found.checks.exploration
    assert "would take" in found.checks.drift
    assert isinstance(posterior.explore(60.0), Exploration)
    assert isinstance(posterior.diagnose().checks.exploration, Exploration)


def test_a_search_that_cannot_begin_says_why(guide, monkeypatch):
    def improper(*_):
        raise ValueError("the log density climbs on")

    monkeypatch.setattr("amortized.posterior.find_modes", improper)
    posterior = guide.fitted.posterior(guide.sampler, "guide", guide.recipe)
    assert posterior.explore(60.0) == "not explored: the log density climbs on"


def test_a_guide_of_one_mode_of_two_is_not_trusted():
    """A warm-up that never saw the other half: weights, bounds and held-out draws are all perfect."""
    planted = runpy.run_path(str(PLANTED))
    found = planted["one_of_two_modes"](0, 5.0).diagnose()
    assert found.ess_fraction > 0.5 and found.unseen < 0.02
    assert found.verdict == UNTRUSTED and "independent search found" in found.advice


@pytest.mark.slow
@pytest.mark.parametrize("case", ["without_a_rare_mode", "stopped_after_five_steps", "too_narrow"])
def test_planted_failures_are_not_trusted(case):
    planted = runpy.run_path(str(PLANTED))
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
    assert isinstance(found, Exploration) and found.found_more
    assert abs(found.unseen.value - 0.1) < 4 * found.unseen.std_error + 0.01
    assert abs(found.log_evidence.value) < 4 * found.log_evidence.std_error
