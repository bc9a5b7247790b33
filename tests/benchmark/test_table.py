"""Tables from results written by hand."""

import math
from typing import Any

import pytest

from amortized.benchmark.table import mean_and_std_text, number_text, result_tables


def result(method: str = "tb", seed: int = 0, target: str = "funnel", **metrics: Any) -> dict[str, Any]:
    return {
        "target": target,
        "method": method,
        "seed": seed,
        "budget": {"steps": 20},
        "paths": 2000,
        "status": "finished",
        "dimension": 10,
        "truth": {"value": 0.5, "std_error": 0.01},
        "metrics": {"elbo": -1.0, "delta": 1.5, "rw": 0.25, "log_evidence": 0.25, **metrics},
        "training": {"seconds": 2.0, "steps": 20, "energy_calls": 640},
    }


FAILED = {**result("dds", 1), "status": "failed", "error": "ValueError: no"}
del FAILED["metrics"], FAILED["training"]


def test_a_row_a_method_and_means_over_seeds():
    [table] = result_tables([result(seed=0), result(seed=1, delta=2.5), FAILED])
    assert table.title == "funnel, steps 20, 2,000 paths"
    assert table.notes == ["10 dimensions; log Z 0.5000 ± 0.0100 nats"]
    assert table.head == ["method", "seeds", "Δ", "RW", "seconds", "energy calls", "steps"]
    assert table.rows == [
        ["dds", "1, 1 failed", *["–"] * 5],
        ["tb", "2", "2 ± 0.707", "0.250", "2", "640", "20"],
    ]
    assert table.failures == ["dds, seed 1: ValueError: no"]


def test_without_a_truth_the_bounds_themselves():
    bare = {**result(), "truth": None, "metrics": {"elbo": -1.5, "log_evidence": 0.25}}
    [table] = result_tables([bare])
    assert table.head[2:4] == ["ELBO", "log Ẑ"] and "log Z unknown" in table.notes[0]


def test_exact_draws_come_first_in_every_table_of_their_target():
    exact = {**result("exact draws", wasserstein2=1.25), "budget": None}
    exact["metrics"] = {"wasserstein2": 1.25}
    del exact["training"]
    longer = {**result(wasserstein2=2.5), "budget": {"seconds": 3.0}}
    few = {**exact, "paths": 10}
    first, second = result_tables([result(), longer, exact, few], methods=["tb"])
    for table in (first, second):
        assert table.rows[0][:5] == ["exact draws", "1", "–", "–", "1.250"] and len(table.rows) == 2
    assert first.rows[1][4] == "2.500"


def test_targets_and_budgets_are_apart():
    longer = {**result(), "budget": {"seconds": 3.0}}
    assert [table.title for table in result_tables([result(), longer, result(target="a")])] == [
        "a, steps 20, 2,000 paths",
        "funnel, seconds 3, 2,000 paths",
        "funnel, steps 20, 2,000 paths",
    ]


def test_without_times():
    [table] = result_tables([result()], times=False)
    assert "seconds" not in table.head


def test_methods_in_the_order_asked_for():
    [table] = result_tables([result("a"), result("b"), result("c")], methods=["c", "a"])
    assert [row[0] for row in table.rows] == ["c", "a"]


def test_published_figures_stand_beside_ours():
    [table] = result_tables([result("a"), result("b")], published={"funnel": {"a": {"delta": 0.84}}})
    assert table.head[2:5] == ["Δ", "Δ published", "RW"]
    assert [row[3] for row in table.rows] == ["0.840", ""]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([math.inf], "inf"),
        ([math.inf, 1.0], "1 of 2 finite"),
        ([math.inf, -math.inf], "0 of 2 finite"),
        ([1.0, math.nan], "1 of 2 finite"),
        ([math.nan, math.nan], "nan"),
        ([1.25, 1.35], "1.300 ± 0.071"),
    ],
)
def test_numbers_that_are_not_finite_are_shown(values: list[float], text: str):
    assert mean_and_std_text(values) == text


def test_small_numbers_keep_a_digit():
    assert number_text(3.2e-6) == "3e-06" and number_text(-3.2e-6) == "-3e-06"


def test_a_figure_that_some_seeds_miss_says_so_and_why():
    lacking = {"entropic_mode_coverage": "not given: labels"}
    broken = result(seed=1, missing={**lacking, "stein": "3 of 5 rows are not finite"})
    there = [result(seed=seed, stein=0.5, missing=lacking) for seed in (0, 2)]
    [table] = result_tables([there[0], broken, there[1], FAILED])
    [row] = [row for row in table.rows if row[0] == "tb"]
    assert row[table.head.index("Stein")] == "0.500 (2 of 3)"
    assert table.missing == ["EMC: not given: labels", "Stein: 3 of 5 rows are not finite (tb seed 1)"]
