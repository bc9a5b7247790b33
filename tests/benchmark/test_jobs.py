"""Cells in this process; several processes and a cluster are in tests/benchmark/test_command.py."""

from pathlib import Path

import pytest

from amortized.benchmark import jobs, records
from amortized.benchmark.budget import Budget
from amortized.benchmark.cells import Cell
from amortized.files.errors import UserError

FUNNEL = Path(__file__).parents[2] / "models" / "funnel.py"
TINY = Path(__file__).with_name("tiny.py")
CELLS = [Cell(FUNNEL, (), f"{TINY}:{method}", 0, Budget(steps=2), paths=32) for method in ("narrow", "broken")]


def test_results_are_written_and_failures_counted(tmp_path: Path):
    assert jobs.run_cells(CELLS, tmp_path, progress=False) == 1
    assert [result["status"] for result in records.read_results(tmp_path)] == ["failed", "finished"]
    assert jobs.run_cells([], tmp_path, progress=False) == 0


def test_workers_get_paths_that_hold_everywhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(TINY.parent)
    found = jobs.with_absolute_paths(Cell(Path("m.py"), (), "tiny.py:narrow", 0, None))
    assert found.path == TINY.with_name("m.py") and found.method == f"{TINY}:narrow"
    assert jobs.with_absolute_paths(Cell(Path("m.py"), (), "pis", 0, None)).method == "pis"


def test_a_missing_package_is_named():
    with pytest.raises(UserError, match=r"needs no_such: pip install 'amortized\[bench\]'"):
        jobs.optional_module("no_such")
