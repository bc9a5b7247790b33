"""Names of cells, and files that appear whole or not at all."""

import json
import math
from pathlib import Path

import pytest

from amortized.benchmark import cells, records
from amortized.benchmark.budget import Budget
from amortized.benchmark.cells import Cell
from amortized.files.errors import UserError

STEPS = Budget(steps=10)
CELL = Cell(Path("models/funnel.py"), (), "tb", 0, STEPS)


def test_the_grid_is_every_combination_one_seed_after_the_other():
    made = cells.every_cell(["funnel.py", "many_well.py:8"], ["pis", "tb"], 2, STEPS)
    assert [(cell.target, cell.method, cell.seed) for cell in made[:5]] == [
        ("funnel", "pis", 0),
        ("funnel", "tb", 0),
        ("many_well(8)", "pis", 0),
        ("many_well(8)", "tb", 0),
        ("funnel", "pis", 1),
    ]
    assert len({cell.key for cell in made}) == len(made) == 8


@pytest.mark.parametrize("models", [["funnel.py", "other/funnel.py"], ["funnel.py", "funnel.py"]])
def test_two_cells_of_one_name_are_refused(models: list[str]):
    with pytest.raises(UserError, match="funnel with pis is there twice"):
        cells.every_cell(models, ["pis"], 1, STEPS)


def test_a_key_tells_every_part():
    budgets = [STEPS, Budget(steps=11), Budget(seconds=10.0), Budget(energy_calls=10)]
    others = [Cell(CELL.path, (), "tb", 0, budget) for budget in budgets]
    others += [Cell(CELL.path, (1,), "tb", 0, STEPS), Cell(CELL.path, (), "tb-ls", 0, STEPS)]
    others += [Cell(CELL.path, (), "tb", 1, STEPS), Cell(CELL.path, (), "tb", 0, STEPS, paths=9)]
    others += [Cell(CELL.path, (), "exact draws", 0, None)]
    assert len({cell.key for cell in others}) == len(others)


def test_signs_clocks_and_odd_names_have_files_of_their_own():
    odd = [Cell(CELL.path, options, "tb", 0, STEPS) for options in [(1,), (-1,), (0.5,), (-0.5,), ("a",), ((1, 2),)]]
    odd += [Cell(Path("my-model.py"), (1,), "tb", 0, STEPS), Cell(Path("my.model.py"), (), "tb", 0, STEPS)]
    odd += [Cell(CELL.path, (1,), "tb", 0, Budget(seconds=9.0, clock=clock)) for clock in ("process", "wall")]
    assert len({cell.key for cell in odd}) == len(odd)
    assert odd[2].key == "funnel-0.5__tb__steps-10__seed-0"


def test_a_result_of_another_cell_under_the_same_name_is_told(tmp_path: Path):
    other = Cell(CELL.path, (), "tb", 0, Budget(steps=11))
    records.write_result(tmp_path, other, {"status": "finished"}).rename(records.result_file(tmp_path, CELL))
    with pytest.raises(UserError, match=r"is a result of .*steps=11.*, not of .*steps=10.*: take another --out"):
        records.unfinished([CELL], tmp_path)


def test_the_folder_of_the_model_does_not_matter(tmp_path: Path):
    elsewhere = Cell(Path("/tmp/bench/models/funnel.py"), (), "tb", 0, STEPS)
    records.write_result(tmp_path, elsewhere, {"status": "finished"})
    assert records.unfinished([CELL], tmp_path) == []


def test_written_and_read(tmp_path: Path):
    file = records.write_result(tmp_path / "new", CELL, {"status": "finished", "metrics": {"eubo": math.inf}})
    assert [other.name for other in file.parent.iterdir()] == ["funnel__tb__steps-10__seed-0.json"]
    [result] = records.read_results(file.parent)
    assert result["target"] == "funnel" and result["budget"]["steps"] == 10 and result["seed"] == 0
    assert float(result["metrics"]["eubo"]) == math.inf


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path):
    records.write_result(tmp_path, CELL, {"status": "finished"})
    with pytest.raises(TypeError):
        records.write_result(tmp_path, CELL, {"status": object()})
    assert records.read_results(tmp_path)[0]["status"] == "finished"


def test_finished_cells_are_left_out_and_failed_ones_retried_on_demand(tmp_path: Path):
    made = cells.every_cell(["funnel.py"], ["a", "b", "c"], 1, STEPS)
    records.write_result(tmp_path, made[0], {"status": "finished"})
    records.write_result(tmp_path, made[1], {"status": "failed", "error": "x"})
    assert records.unfinished(made, tmp_path) == made[2:]
    assert records.unfinished(made, tmp_path, retry=True) == made[1:]
    assert records.unfinished(made, tmp_path / "none") == made


def test_a_folder_without_results(tmp_path: Path):
    with pytest.raises(UserError, match="has no results: run amortized bench MODEL"):
        records.read_results(tmp_path)


@pytest.mark.parametrize(
    ("text", "said"), [("{", "is not JSON"), (json.dumps({"target": "x"}), "not a result of the benchmark")]
)
def test_a_file_that_is_no_result(tmp_path: Path, text: str, said: str):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UserError, match=said):
        records.read_results(tmp_path)
