"""Metrics of a tiny sampler and of exact draws, with and without a truth."""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from amortized.benchmark import truth
from amortized.benchmark.budget import Budget
from amortized.benchmark.measurement import SampledPaths, measure_exact_draws, measure_sampler, metrics_against_truth

TINY = Path(__file__).with_name("tiny.py")
MODES = Path(__file__).parents[2] / "models" / "gaussian_mixture_25.py"


@pytest.fixture(scope="module")
def problem() -> truth.Problem:
    return truth.load_problem(MODES)


@pytest.fixture(scope="module")
def trained(problem: truth.Problem):
    return runpy.run_path(str(TINY))["narrow"](problem.target, problem.scale, Budget(steps=2), 0)


def test_all_metrics_where_the_truth_is_known(problem: truth.Problem, trained):
    before = problem.target.calls
    found = measure_sampler(problem, trained, 64, 0)
    assert found["missing"] == {} and found["log_evidence_error"] > 0
    assert found["delta"] == -found["elbo"] and found["rw"] == -found["log_evidence"]
    assert found["gap"] == pytest.approx(found["eubo"] - found["elbo"])
    assert found["evaluation_energy_calls"] == problem.target.calls - before == 3 * 64


def test_without_a_truth_the_reasons(problem: truth.Problem, trained):
    found = measure_sampler(replace(problem, log_evidence=None, sample=None, mode=None), trained, 64, 0)
    assert not {"delta", "rw", "eubo", "wasserstein2", "entropic_mode_coverage"} & set(found)
    assert found["missing"]["wasserstein2"] == "not given: exact" and found["stein"] > 0


def test_floors_are_of_exact_draws_that_differ_from_seed_to_seed(problem: truth.Problem):
    """25 modes by 200 draws: a weight is off by less than 5 standard errors, (0.04 · 0.96 / 200)^½ = 0.014."""
    first, second = measure_exact_draws(problem, 200, 0), measure_exact_draws(problem, 200, 1)
    assert 0 < first["mmd"] < 0.2 and first["mmd"] != second["mmd"] and "elbo" not in first
    assert first["largest_mode_weight_error"] < 5 * (0.04 * 0.96 / 200) ** 0.5
    with pytest.raises(ValueError, match="write def sample"):
        measure_exact_draws(replace(problem, sample=None), 200, 0)


def test_draws_outside_the_support_have_no_stein_discrepancy(tmp_path: Path):
    file = tmp_path / "half.py"
    file.write_text(
        "import pyro, pyro.distributions as dist, torch\n"
        "def model():\n"
        "    x = pyro.sample('x', dist.Normal(torch.zeros(2), 1.0).to_event(1))\n"
        "    pyro.factor('half', torch.where(x[..., 0] > 0, 0.0, -torch.inf))\n"
    )
    draws = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [2.0, 0.0]])
    found = metrics_against_truth(truth.load_problem(file), SampledPaths(draws, torch.zeros(3)))
    assert "stein" not in found and "1 of 3 rows are not finite" in found["missing"]["stein"]
