"""All figures of a sampler whose figures are known, and the reasons for those that are missing."""

import dataclasses
import json
import math
import sys

import pytest
import torch

from amortized.metrics.measure import Metrics, measure
from amortized.weights import Estimate
from tests.known import seeded

COUNT = 300


@pytest.fixture
def everything():
    """A perfect sampler of N(0, I) with log Z = 2, and two modes: the half planes."""
    draws, exact = torch.randn(2, COUNT, 2, generator=seeded())
    return {
        "draws": draws,
        "log_weights": torch.full((COUNT,), 2.0),
        "reverse_log_weights": torch.full((COUNT,), 2.0),
        "exact": exact,
        "labels": (draws[:, 0] > 0).long(),
        "mode_weights": torch.tensor([0.5, 0.5]),
        "scores": -draws,
        "target_calls": 10,
        "network_calls": 20,
        "seconds": 0.5,
        "generator": seeded(),
    }


def test_a_perfect_sampler_has_perfect_figures(everything):
    """Weights are constant; the share of a half plane is off by at most 3 × 0.5 / √300."""
    pytest.importorskip("ot", reason="POT is in the extra 'bench'")
    metrics = measure(**everything)
    assert metrics.missing == {}
    assert (metrics.elbo, metrics.eubo, metrics.gap) == (2.0, 2.0, 0.0)
    assert metrics.log_evidence == pytest.approx((2.0, 0.0))
    assert (metrics.ess_fraction, metrics.reverse_ess_fraction) == pytest.approx((1.0, 1.0))
    assert metrics.largest_mode_weight_error < 1.5 / math.sqrt(COUNT)
    assert metrics.entropic_mode_coverage > 0.99
    assert max(metrics.wasserstein2, metrics.sinkhorn, metrics.mmd, metrics.stein) < 0.5
    assert (metrics.target_calls, metrics.network_calls, metrics.seconds) == (10, 20, 0.5)
    assert json.loads(json.dumps(metrics.as_json(), allow_nan=False))["elbo"] == 2.0


def test_what_was_not_given_is_none_with_its_reason(everything):
    metrics = measure(everything["draws"], everything["log_weights"])
    assert metrics.missing == {
        "eubo": "not given: reverse_log_weights",
        "gap": "not given: reverse_log_weights",
        "reverse_ess_fraction": "not given: reverse_log_weights",
        "wasserstein2": "not given: exact",
        "sinkhorn": "not given: exact",
        "mmd": "not given: exact",
        "largest_mode_weight_error": "not given: labels, mode_weights",
        "entropic_mode_coverage": "not given: labels, mode_weights",
        "stein": "not given: scores",
    }
    empty = {name for name, value in dataclasses.asdict(metrics).items() if value is None}
    assert empty == {*metrics.missing, "target_calls", "network_calls", "seconds"}


def test_without_optimal_transport_the_rest_is_measured(everything, monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    metrics = measure(**everything)
    assert set(metrics.missing) == {"wasserstein2", "sinkhorn"}
    assert "pip install 'amortized[bench]'" in metrics.missing["sinkhorn"]
    assert metrics.mmd is not None


def test_a_sampler_that_blew_up_is_said_to_have(everything):
    everything["draws"] = everything["draws"].clone().fill_(torch.nan)
    metrics = measure(**everything)
    assert "300 of 300" in metrics.missing["mmd"] and "300 of 300" in metrics.missing["stein"]


def test_sets_of_different_sizes_are_cut_to_the_smaller(everything, monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    one = measure(**{**everything, "exact": everything["exact"][:100]})
    other = measure(**{**everything, "points": 100})
    assert one.mmd == other.mmd != measure(**everything).mmd


def test_numbers_that_json_has_not_are_words():
    plain = Metrics(-math.inf, Estimate(-math.inf, math.nan), 0.0, eubo=math.inf, missing={"mmd": "no"}).as_json()
    assert (plain["elbo"], plain["eubo"], plain["mmd"]) == ("-inf", "inf", None)
    assert plain["log_evidence"] == {"value": "-inf", "std_error": "nan"}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
