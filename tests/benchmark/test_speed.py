"""The loop of ``benchmarks/step_by_step.py`` where the answer is known, and the tables of ``benchmarks/speed.py``."""

import math
import sys
from pathlib import Path

import pytest
import torch

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
from speed_table import exponent, filled, medians, steps_table  # noqa: E402
from speed_tasks import Task, measure, operators, stepwise  # noqa: E402
from step_by_step import StepByStep, normal  # noqa: E402

from amortized.policies import LangevinMLP  # noqa: E402

sys.path.remove(str(BENCHMARKS))

SCALE, STEPS = 1.5, 6


def sampler(method="tb", trained=0.0):
    torch.manual_seed(0)
    policy = LangevinMLP(2, 8, 1, langevin=method == "tb-lp", learned_variance=False)
    with torch.no_grad():
        for value in policy.parameters():
            value.add_(trained * torch.randn_like(value))
    return StepByStep(policy, lambda x: normal(x, torch.ones_like(x), 0.5), 2, STEPS, SCALE, method)


def test_an_untrained_loop_weighs_its_ends_against_the_reference():
    path = sampler().forward_path(50)
    expected = path.log_target - normal(path.ends, torch.zeros_like(path.ends), SCALE**2)
    torch.testing.assert_close(path.log_weight, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["tb", "tb-lp"])
def test_mean_weight_is_z(method):
    """The target is normalized; five standard errors of 20,000 weights."""
    weight = sampler(method, trained=0.1).forward_path(20_000).log_weight.detach().exp()
    assert (weight.mean() - 1).abs() < 5 * weight.std() / math.sqrt(len(weight))


def test_a_path_back_has_the_densities_of_a_path_forward():
    """Without a shift the weight of a path depends on its end alone, whichever way it was drawn."""
    loop = sampler()
    ends = torch.randn(40, 2)
    path = loop.backward_path(ends)
    expected = path.log_target - normal(ends, torch.zeros_like(ends), SCALE**2)
    torch.testing.assert_close(path.log_weight, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", ["tb", "vargrad", "tb-lp", "fl-subtb", "tb-replay"])
def test_training_lowers_the_loss(method):
    loop = sampler(method)
    before = loop.loss(loop.forward_path(500)).item()
    for _ in range(60):
        loop.step(100)
    assert loop.loss(loop.forward_path(500)).item() < before


def test_operators_of_a_step_leave_out_what_a_run_costs_once():
    def run(count):
        torch.zeros(3).exp().sin()
        for _ in range(count):
            torch.ones(2) + 1
        return [0.0] * count

    assert operators(run) == 2


def test_a_measured_step_has_its_time_and_its_operators():
    found = measure(Task("train", "tb", "25gmm", 2), stepwise(lambda: torch.ones(2)))
    assert found["operators"] == 1 and found["ms"] >= 0


def test_an_exponent_is_that_of_the_largest_sizes():
    assert exponent({1: 7.0, 10: 7.0, 100: 70.0, 1_000: 700.0}) == pytest.approx(1.0)


def test_the_table_has_medians_ratios_and_the_share_of_the_floor():
    rows = [
        {"target": "25gmm", "method": "tb", "who": who, "ms": ms}
        for who, times in {"after": (30, 50, 40), "paper": (120, 80, 90), "floor": (10, 10, 12)}.items()
        for ms in times
    ]
    assert medians(rows, "ms", "who") == {("after",): 40, ("paper",): 90, ("floor",): 10}
    assert "| 25GMM | TB | **40** | – | – | 90 (2.2) | – | 10.0 | 25% |" in steps_table(rows)


def test_a_page_keeps_all_but_its_tables():
    page = "one\n<!-- steps -->\nold\n<!-- end -->\ntwo\n<!-- draws -->\nkept\n<!-- end -->\n"
    assert filled(page, {"steps": "new"}) == page.replace("old", "new")
