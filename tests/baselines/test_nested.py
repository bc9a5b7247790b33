"""Nested sampling through dynesty: log Z, equal draws, seeds, and what to install."""

import sys

import pytest
import torch

from amortized.baselines import nested
from amortized.targets.density import DensityTarget
from tests.baselines import known


def test_evidence_and_moments_of_a_skewed_mixture():
    """log Z within four errors of dynesty's; moments within five for half of ``ess``, as shells are correlated."""
    target = known.skewed_mixture()
    draws = nested.run(target, live_points=100, draws=1_000, seed=0)
    assert draws.log_evidence is not None and 0 < draws.log_evidence.std_error < 0.5
    assert abs(draws.log_evidence.value - known.LOG_Z) < 4 * draws.log_evidence.std_error
    x, ess = draws.sites["x"], min(float(draws.attributes["ess"]), 1_000) / 2
    assert x.shape == (1_000, 2) and draws.log_weights is None and draws.attributes["finished"] == 1
    assert torch.all((x.mean(0) - known.MEAN).abs() < 5 * known.DEVIATION / ess**0.5)
    assert draws.target_calls == target.calls > 1_000


def test_a_model_from_its_prior():
    draws = nested.run(known.conjugate, (known.CONJUGATE_DATA,), live_points=50, draws=200, seed=1)
    assert draws.log_evidence is not None
    assert abs(draws.log_evidence.value - known.conjugate_log_evidence()) < 4 * draws.log_evidence.std_error


@pytest.mark.filterwarnings("ignore:The sampling was stopped short")
def test_draws_depend_on_the_seed_alone_and_callers_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (
        nested.run(known.tilted_gaussian(), live_points=24, max_calls=400, seed=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one.sites["x"], two.sites["x"]) and one.log_evidence == two.log_evidence
    assert one.log_evidence != other.log_evidence


def test_what_is_not_finite_has_no_mass():
    """Half of N(0, 1) and NaN: Z = 1/2."""
    normal = torch.distributions.Normal(0.0, 1.0)
    half = DensityTarget(lambda x: torch.where(x[:, 0] > 0, normal.log_prob(x[:, 0]), torch.nan), dim=1)
    draws = nested.run(half, live_points=50, draws=200, seed=0)
    assert draws.log_evidence is not None and bool((draws.sites["x"] > 0).all())
    assert abs(draws.log_evidence.value + 0.6931) < 4 * draws.log_evidence.std_error


@pytest.mark.filterwarnings("ignore:The sampling was stopped short")
def test_a_budget_that_ends_the_run_is_said():
    draws = nested.run(known.skewed_mixture(), live_points=50, draws=20, max_calls=200, seed=0)
    assert draws.attributes["finished"] == 0


def test_the_message_where_dynesty_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "dynesty", None)
    with pytest.raises(ImportError, match=r"pip install 'amortized\[nested\]'"):
        nested.run(known.skewed_mixture())
