"""The notebooks of the site: numbered, run from top to bottom with their outputs kept, and right."""

import re
from pathlib import Path

import matplotlib
import pytest

from tests.pages import NOTEBOOKS, Block, cells, run


def test_they_are_numbered_without_gaps():
    numbers = [int(Path(name).name[:2]) for name in NOTEBOOKS]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_has_run_from_top_to_bottom(name: str):
    code = [cell for cell in cells(NOTEBOOKS[name]) if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1)), "type make notebooks"
    outputs = [output for cell in code for output in cell["outputs"]]
    assert not [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"]
    assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_asks_and_decides(name: str):
    words = ["".join(cell["source"]) for cell in cells(NOTEBOOKS[name]) if cell["cell_type"] == "markdown"]
    assert re.match(rf"# {int(Path(name).name[:2])}\. ", words[0]) and "**Question: " in words[0]
    assert words[-1].startswith("## Decision\n")


def names(number: int, folder: Path, patch: pytest.MonkeyPatch) -> dict:
    """What a notebook's code leaves behind."""
    matplotlib.use("agg")
    notebook = list(NOTEBOOKS.values())[number - 1]
    blocks, line = [], 1
    for text in ["".join(cell["source"]) + "\n" for cell in cells(notebook) if cell["cell_type"] == "code"]:
        blocks.append(Block("python", line, text))
        line += text.count("\n")
    return run(blocks, folder / notebook.with_suffix(".py").name, patch)


@pytest.mark.slow
def test_the_first_posterior_is_that_of_a_grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Sum over a grid of 1,000 by 1,000: log evidence -4.6181. Two chains of 1,000 have an error of about .05 sd."""
    left = names(1, tmp_path, monkeypatch)
    assert left["found"].verdict == "trustworthy"
    assert left["found"].log_evidence.value == pytest.approx(-4.6181, abs=0.05)
    for site in ("intercept", "slope"):
        ours, theirs = left["ours"][site], left["theirs"][site]
        assert abs(ours.mean() - theirs.mean()) < 0.3 * theirs.std()


@pytest.mark.slow
def test_several_modes_have_the_grid_s_weights_and_nuts_has_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """8,000 resampled draws have a standard error of .004 in a share of .86; evidence within five of its own errors."""
    left = names(2, tmp_path, monkeypatch)
    assert abs(left["faster"](left["draws"]) - left["grid_share"]) < 0.03
    found = left["found"].log_evidence
    assert abs(found.value - left["grid_evidence"]) < 5 * found.std_error + 0.01
    assert left["chains"].attributes["rhat"] > 3 * left["alone"].attributes["rhat"]
    assert left["faster"](left["alone"].sites) in (0.0, 1.0)


@pytest.mark.slow
def test_the_hospitals_are_those_of_a_quadrature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By quadrature over the mean, the std and each hospital."""
    left = names(3, tmp_path, monkeypatch)
    assert left["hospitals"][left["first"]] == "H"
    assert float(left["avoided"].max()) == pytest.approx(9.92, abs=0.8)
    assert left["worst"] == pytest.approx(0.637, abs=0.06)
    for guide in left["guides"].values():
        assert float(guide.sample(4_000)["std"].mean()) == pytest.approx(0.446, abs=0.04)
        if guide.diagnose().evidence_verdict != "not to be trusted":  # a busy machine cuts fits short, which say so
            assert guide.log_evidence().value == pytest.approx(-42.015, abs=0.1)


@pytest.mark.slow
def test_the_laws_are_compared_as_a_grid_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    left = names(4, tmp_path, monkeypatch)
    normal, student, escaping = (left["found"][name] for name in ("normal", "student", "escaping"))
    assert abs(normal.log_evidence.value - left["grid_evidence"]) < 5 * normal.log_evidence.std_error + 0.01
    assert escaping.log_evidence.value > student.log_evidence.value > normal.log_evidence.value + 20
    assert escaping.leave_one_out.value > normal.leave_one_out.value + 20
