"""One cell, trained by the tiny methods beside this file."""

import json
from pathlib import Path

import pytest
import torch

from amortized.benchmark import records
from amortized.benchmark.budget import Budget
from amortized.benchmark.cells import Cell
from amortized.benchmark.suite import find_method, run_cell, thinned
from amortized.files.errors import UserError

TINY = Path(__file__).with_name("tiny.py")
FUNNEL = Path(__file__).parents[2] / "models" / "funnel.py"


def cell(method: str = "narrow", seed: int = 0, path: Path = FUNNEL) -> Cell:
    return Cell(path, (), f"{TINY}:{method}", seed, Budget(steps=3), paths=100)


def without_times(result: dict) -> dict:
    """The parts that two runs of one cell share, through JSON so that NaN equals NaN."""
    kept = {name: value for name, value in result.items() if name != "total_seconds"}
    for part in ("metrics", "training"):
        kept[part] = {name: value for name, value in result[part].items() if not name.endswith("seconds")}
    return json.loads(json.dumps(records.without_infinities(kept)))


def test_everything_that_a_result_has():
    result = run_cell(cell())
    assert result["status"] == "finished" and result["dimension"] == 10
    assert result["truth"] == {"value": 0.0, "std_error": 0.0}
    assert result["versions"]["torch"] == torch.__version__ and result["machine"]["threads"] == 1
    training, metrics = result["training"], result["metrics"]
    assert training["steps"] == 3 and training["energy_calls"] == 96 and len(training["losses"]) == 3
    assert metrics["delta"] == -metrics["elbo"] and metrics["gap"] >= metrics["eubo"] - metrics["elbo"] - 1e-9
    assert 0 < result["training"]["seconds"] and 0 < result["total_seconds"]


def test_the_same_cell_gives_the_same_numbers_and_another_seed_others():
    first = without_times(run_cell(cell(seed=1)))
    torch.randn(7)
    assert without_times(run_cell(cell(seed=1))) == first
    assert without_times(run_cell(cell(seed=2)))["metrics"] != first["metrics"]


def test_a_failure_is_a_result():
    result = run_cell(cell("broken", seed=3))
    assert result["status"] == "failed" and result["error"] == "RuntimeError: seed 3 is no good"
    assert "tiny.py" in result["traceback"] and "metrics" not in result


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no-such-part", "method .no-such-part"),
        ("none.py:train", "none.py is not there"),
        (f"{TINY}:none", "has no function none: write def none"),
    ],
)
def test_a_method_that_is_not_there(name: str, said: str):
    with pytest.raises(UserError, match=said):
        find_method(name)


def test_the_method_in_the_documentation_runs(tmp_path: Path):
    text = (FUNNEL.parents[1] / "docs" / "benchmark.md").read_text()
    file = tmp_path / "mine.py"
    file.write_text(text.split("```python\n")[1].split("```")[0])
    result = run_cell(Cell(FUNNEL, (), f"{file}:train", 0, Budget(steps=2), paths=20))
    assert result["status"] == "finished", result["traceback"]
    assert result["training"]["network_calls"] == 2 * 256 * 32


def test_a_fault_in_the_truth_is_met_before_the_training(tmp_path: Path):
    broken = tmp_path / "broken.py"
    broken.write_text(FUNNEL.read_text() + "\ndef mode(draws):\n    raise KeyError('side')\n")
    result = run_cell(cell("broken", path=broken))
    assert result["status"] == "failed" and "KeyError" in result["error"]


def test_losses_are_thinned_to_two_hundred():
    kept = thinned([float(index) for index in range(5_000)])
    assert len(kept["losses"]) == 200 and kept["loss_steps"][0] == 1 and kept["loss_steps"][-1] == 5_000
    assert kept["losses"] == [step - 1 for step in kept["loss_steps"]]
    assert thinned([]) == {"loss_steps": [], "losses": []}
