"""``amortized sample`` on a small saved guide, and its errors in one line; the page on saving runs as printed."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from amortized import DiffusionGuide, cli
from amortized.files.model import imported
from tests.amortization.quick import BRIEF, data_sets, shortened

ROOT = Path(__file__).parents[1]
MODEL = "from tests.amortization.quick import conjugate as model\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shortened(monkeypatch)
    monkeypatch.setattr(DiffusionGuide, "default_recipe", BRIEF)
    monkeypatch.setattr("amortized.guide.guide.for_contexts", lambda recipe: recipe)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)
    return tmp_path


def test_draws_and_a_verdict_for_each_data_set(folder, capsys):
    model = imported(folder / "model.py").model
    guide = DiffusionGuide(model, amortize="y", progress=False).fit(data_sets(200))
    guide.save("guide.safetensors")
    y = data_sets(3, seed=1)
    np.save("y.npy", y.numpy())
    assert cli.main(["sample", "model.py", "guide.safetensors", "--data", "y.npy", "--draws", "50"]) == 0
    with np.load("draws.npz", allow_pickle=False) as found:
        assert torch.equal(torch.as_tensor(found["mean"]), guide.sample(50, y)["mean"])
        assert found["verdict"].shape == (3,)
    printed = capsys.readouterr().out
    assert "written to draws.npz: mean, twice, verdict" in printed and len(printed.splitlines()) == 6
    assert not [file for file in folder.iterdir() if file.name.startswith(".")]

    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    for data, guide_file, message in (
        ("objects.npy", "guide.safetensors", "numpy.save wrote"),
        ("missing.npy", "guide.safetensors", "numpy.save wrote"),
        ("y.npy", "y.npy", "no safetensors file"),
    ):
        assert cli.main(["sample", "model.py", guide_file, "--data", data]) == 2
        said = capsys.readouterr().err
        assert message in said and len(said.splitlines()) == 1

    assert cli.main(["sample", "model.py", "guide.safetensors"]) == 2
    assert "answers for any data set: type --data y.npy" in capsys.readouterr().err


def test_the_page_runs_as_printed(folder):
    page = (ROOT / "docs" / "saving.md").read_text()
    exec(compile("\n".join(re.findall(r"```python\n(.*?)```", page, re.DOTALL)), "saving.md", "exec"), {})
    assert (folder / "guide.safetensors").stat().st_size < 2e6
