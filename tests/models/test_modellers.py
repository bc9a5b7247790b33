"""The modellers' models, the truth that is stored for each, and what `benchmarks/modellers.py` makes of both."""

import math
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pyro import poutine
from pyro.infer.util import torch_item

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
try:
    from modellers import errors
    from modellers_cases import CASES, TRUTH, Case
    from modellers_table import misses, table
finally:
    sys.path.remove(str(BENCHMARKS))

KNOWN = [name for name, case in CASES.items() if (TRUTH / f"{case.truth or name}.json").exists()]


FLAT = ["rosenbrock"]
"""Cases with a flat prior, which has no draws."""


def traced(case: Case, sites: dict[str, torch.Tensor] | None = None) -> Any:
    torch.manual_seed(0)
    model = case.model if sites is None else poutine.condition(case.model, data=sites)
    return poutine.trace(model).get_trace(*case.arguments)


@pytest.mark.parametrize("name", [name for name in CASES if name not in FLAT])
def test_the_density_is_finite_at_a_draw_of_the_prior(name: str):
    assert math.isfinite(torch_item(traced(CASES[name]).log_prob_sum()))


@pytest.mark.parametrize("name", CASES)
def test_data_are_the_same_each_time(name: str):
    for first, second in zip(CASES[name].arguments, CASES[name].arguments, strict=True):
        assert first is second or torch.equal(torch.as_tensor(first), torch.as_tensor(second))


def test_every_case_has_a_truth():
    assert set(KNOWN) == set(CASES)


@pytest.mark.parametrize("name", [name for name in KNOWN if name not in FLAT])
def test_the_truth_has_the_shapes_of_the_sites(name: str):
    case, nodes = CASES[name], traced(CASES[name]).nodes
    known = case.known
    assert known["how"]
    for site, truth in known["sites"].items():
        size = nodes[site]["value"].numel()
        assert all(len(truth[key]) == size for key in ("mean", "sd", "q05", "q95"))
        for mean, sd, low, high in zip(*(truth[key] for key in ("mean", "sd", "q05", "q95")), strict=True):
            assert sd >= 0 and low <= high and abs(mean - (low + high) / 2) <= 1.5 * sd
    latents = {site for site, node in nodes.items() if node["type"] == "sample" and not node["is_observed"]}
    latents -= {site for site in latents if type(nodes[site]["fn"]).__name__ == "_Subsample"}
    if not case.truth:
        assert latents <= set(known["sites"])


@pytest.mark.parametrize(("name", "sites"), [("varying_slopes", 2 * 85), ("horseshoe", 20)])
def test_both_forms_have_one_density(name: str, sites: int):
    """The non-centred density is the centred one at the effects, times the Jacobian of the standardization."""
    other = CASES[f"{name}_non_centred"]
    drawn = traced(other)
    values = {site: node["value"] for site, node in drawn.nodes.items() if node["type"] == "sample"}
    centred = traced(CASES[name], {site: values[site] for site in values if site != "y"})
    if name == "horseshoe":
        log_jacobian = (values["tau"] * values["lambda"]).log().sum()
    else:
        log_jacobian = 85 * (values["intercept_std"].log() + values["slope_std"].log())
    assert sum(node["value"].numel() for site, node in drawn.nodes.items() if site.startswith("standard")) == sites
    difference = centred.log_prob_sum() - (drawn.log_prob_sum() - log_jacobian)
    assert abs(difference.item()) < 1e-4 * abs(drawn.log_prob_sum().item()) + 1e-3


def test_the_stated_log_evidence_is_that_of_the_truth():
    """A model's file and its truth say the same, to the digits of the file."""
    for case in (CASES[name] for name in KNOWN if not CASES[name].truth and CASES[name].form in ("model", "centred")):
        stated = runpy.run_path(str(BENCHMARKS.parent / "models" / f"{case.file}.py"))["LOG_EVIDENCE"]
        if stated is not None and not case.options:
            assert abs(stated[0] - case.known["log_evidence"][0]) < 1e-3


@pytest.mark.parametrize("steps", [1, 0])
def test_a_walk_of_one_step_is_refused(steps: int):
    for file in ("random_walk", "stochastic_volatility"):
        with pytest.raises(ValueError, match=f"got {steps}; write data"):
            runpy.run_path(str(BENCHMARKS.parent / "models" / f"{file}.py"))["data"](steps)


def test_errors_of_exact_draws_and_of_shifted_ones():
    """The funnel's prior: 20,000 draws have a mean's error of 0.007 sd and a quantile's of 0.015; then 0.5 sd off."""
    torch.manual_seed(0)
    log_variance = 3.0 * torch.randn(20_000)
    x = (0.5 * log_variance).exp()[:, None] * torch.randn(20_000, 9)
    known = CASES["funnel"].known
    right = errors({"log_variance": log_variance, "x": x}, known)
    assert right["mean_error"] < 0.035 and right["quantile_error"] < 0.075 and 0.96 < right["sd_low"] < 1.04
    wrong = errors({"log_variance": log_variance + 1.5, "x": x}, known)
    assert wrong["mean_error"] == pytest.approx(0.5, abs=0.035) and wrong["worst"] == "log_variance"
    assert errors({"log_variance": log_variance * torch.nan, "x": x}, known)["mean_error"] == math.inf


def test_the_table_names_what_a_run_misses():
    row = {"model": "seeds", "method": "guide", "seed": 0, "skip": [], "mean_error": 0.2, "sd_low": 0.9, "sd_high": 1.1}
    row |= {"quantile_error": 0.1, "log_evidence_off": 0.3, "log_evidence_std_error": 0.01, "verdict": "trustworthy"}
    row |= {"evidence_verdict": "trustworthy", "fit_seconds": 100.0, "draw_seconds": 30.0, "fit_cpu_seconds": 90.0}
    row |= {"draw_cpu_seconds": 25.0, "effective": 400.0, "calls": 1000, "peak_mb": 500.0}
    assert misses(row) == ["mean", "seconds", "log Z"]
    assert not misses(row | {"mean_error": 0.1, "fit_seconds": 50.0, "evidence_verdict": "not to be trusted"})
    lines = table([row, {"model": "funnel", "method": "guide", "seed": 0, "skip": [], "failed": "killed"}], CASES)
    assert "MISS: killed" in lines.splitlines()[-2] and "MISS: mean, seconds, log Z" in lines.splitlines()[-1]
