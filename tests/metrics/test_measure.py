"""All figures of a sampler whose figures are known, and the reasons for those that are missing."""

import dataclasses
import json
import math
import sys

import pytest
import torch

from amortized.metrics.measure import Metrics, Sampled, Truth, measure
from amortized.weights import Estimate
from tests.known import seeded

COUNT = 300


@pytest.fixture
def truth() -> Truth:
    """Of N(0, I) with two modes: the half planes."""
    return Truth(torch.randn(2, COUNT, 2, generator=seeded())[1], torch.tensor([0.5, 0.5]))


@pytest.fixture
def perfect() -> Sampled:
    """A perfect sampler of it with log Z = 2."""
    draws, constant = torch.randn(2, COUNT, 2, generator=seeded())[0], torch.full((COUNT,), 2.0)
    return Sampled(draws, constant, constant, (draws[:, 0] > 0).long(), -draws)


def test_a_perfect_sampler_has_perfect_figures(perfect, truth):
    """Weights are constant; the share of a half plane is off by at most 3 × 0.5 / √300."""
    pytest.importorskip("ot", reason="POT is in the extra 'bench'")
    metrics = measure(perfect, truth, generator=seeded())
    assert metrics.missing == {}
    assert (metrics.elbo, metrics.eubo, metrics.gap) == (2.0, 2.0, 0.0)
    assert metrics.log_evidence == pytest.approx((2.0, 0.0))
    assert (metrics.ess_fraction, metrics.reverse_ess_fraction) == pytest.approx((1.0, 1.0))
    assert metrics.largest_mode_weight_error < 1.5 / math.sqrt(COUNT)
    assert metrics.entropic_mode_coverage > 0.99
    assert max(metrics.wasserstein2, metrics.sinkhorn, metrics.mmd, metrics.stein) < 0.5
    costly = dataclasses.replace(metrics, target_calls=10, network_calls=20, seconds=0.5)
    plain = json.loads(json.dumps(costly.as_json(), allow_nan=False))
    assert (plain["elbo"], plain["target_calls"], plain["network_calls"], plain["seconds"]) == (2.0, 10, 20, 0.5)


def test_what_was_not_given_is_none_with_its_reason(perfect):
    metrics = measure(Sampled(perfect.draws, perfect.log_weights))
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


def test_without_optimal_transport_the_rest_is_measured(perfect, truth, monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    metrics = measure(perfect, truth, generator=seeded())
    assert set(metrics.missing) == {"wasserstein2", "sinkhorn"}
    assert "pip install 'amortized[bench]'" in metrics.missing["sinkhorn"]
    assert metrics.mmd is not None


def test_a_sampler_that_blew_up_is_said_to_have(perfect, truth):
    blown_up = dataclasses.replace(perfect, draws=torch.full_like(perfect.draws, torch.nan))
    metrics = measure(blown_up, truth, generator=seeded())
    assert "300 of 300" in metrics.missing["mmd"] and "300 of 300" in metrics.missing["stein"]


def test_sets_of_different_sizes_are_cut_to_the_smaller(perfect, truth, monkeypatch):
    monkeypatch.setitem(sys.modules, "ot", None)
    assert truth.draws is not None
    one = measure(perfect, dataclasses.replace(truth, draws=truth.draws[:100]))
    other = measure(perfect, truth, points=100)
    assert one.mmd == other.mmd != measure(perfect, truth, generator=seeded()).mmd


def test_numbers_that_json_has_not_are_words():
    plain = Metrics(-math.inf, Estimate(-math.inf, math.nan), 0.0, eubo=math.inf, missing={"mmd": "no"}).as_json()
    assert (plain["elbo"], plain["eubo"], plain["mmd"]) == ("-inf", "inf", None)
    assert plain["log_evidence"] == {"value": "-inf", "std_error": "nan"}
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
