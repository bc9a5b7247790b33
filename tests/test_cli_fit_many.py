"""``amortized fit --amortize`` on two processes: the files, a killed process, and what goes on from its checkpoint."""

import os
import signal
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from amortized import DiffusionGuide, cli
from amortized.cli import fit_many
from amortized.files.model import imported
from amortized.storage.file import read
from amortized.storage.tree import unpacked
from amortized.training import run as runs
from tests.amortization.quick import BRIEF, data_sets, shortened, truth
from tests.parallel.processes import on_two

FILE = """
from tests.amortization.quick import conjugate as model, data_sets

def data():
    return (data_sets(200),)
"""
COMMAND = ["fit", "mine.py", "--amortize", "y", "--out", "out"]
RESULTS = ["calibration.csv", "calibration.png", "guide.safetensors"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    shortened(monkeypatch)
    monkeypatch.setattr(DiffusionGuide, "default_recipe", BRIEF)
    monkeypatch.setattr("amortized.guide.guide.for_contexts", lambda recipe: recipe)
    monkeypatch.setattr(fit_many, "CALIBRATED", 60)
    monkeypatch.setattr(fit_many, "SHOWN", 3)
    monkeypatch.setattr(runs, "EVERY", 0.0)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(FILE)
    return tmp_path


def refused(capsys: pytest.CaptureFixture, *words: str) -> str:
    """The last line that a command says."""
    assert cli.main(list(words)) == 2
    *_, line = capsys.readouterr().err.splitlines()
    return line


def test_refusals_say_what_to_type(folder, capsys, monkeypatch):
    assert "--report is of one data set" in refused(capsys, *COMMAND, "--report")
    assert "leave out --resume" in refused(capsys, *COMMAND, "--resume")
    assert "type --amortize NAME" in refused(capsys, "fit", "mine.py", "--resume")
    (folder / "out").mkdir()
    (folder / "out" / fit_many.CHECKPOINT).touch()
    assert "type --resume to go on" in refused(capsys, *COMMAND)
    assert "is cut" in refused(capsys, *COMMAND, "--resume")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert "without torchrun, or --amortize NAME" in refused(capsys, "fit", "mine.py")


def killed_at_a_step(step: int) -> int:
    """The second process kills itself in training, after the first has written that step."""
    save = runs.StageState.save

    def killing(self: runs.StageState, number: int, *planned: Any, **parts: Any) -> None:
        save(self, number, *planned, **parts)
        if self.run.ranks.rank == 1 and self.title == "training on paths" and number == step:
            os.kill(os.getpid(), signal.SIGKILL)

    setattr(runs.StageState, "save", killing)  # noqa: B010 - this process ends with it
    return logged(COMMAND)


def logged(words: list[str]) -> int:
    """The command, with its output in a file for each process."""
    with open(f"log {os.environ['RANK']}", "w", buffering=1) as log, redirect_stdout(log), redirect_stderr(log):
        return cli.main(words)


@pytest.mark.slow
def test_a_killed_process_ends_the_run_and_one_process_goes_on(folder, capsys):
    assert on_two(killed_at_a_step, 5) == [2, -signal.SIGKILL]
    last = Path("log 0").read_text().splitlines()[-1]
    assert "another process of this run was lost: type the command with --resume" in last
    assert [file.name for file in (folder / "out").iterdir()] == [fit_many.CHECKPOINT]
    tensors, words = read(folder / "out" / fit_many.CHECKPOINT)
    assert unpacked(words["reached"], tensors)["training on paths"]["step"] in (4, 5)

    assert cli.main([*COMMAND, "--resume"]) == 0
    printed = capsys.readouterr().out
    assert "draw with: amortized sample mine.py out/guide.safetensors --data y.npy" in printed
    assert sorted(file.name for file in (folder / "out").iterdir()) == RESULTS
    guide = DiffusionGuide.load("out/guide.safetensors", imported(folder / "mine.py").model)
    record = guide.training_record
    assert record is not None and len(record.losses) == BRIEF.steps
    y = data_sets(4, seed=1)
    check_draws(guide.sample(1_000, y)["mean"], y)


@pytest.mark.slow
def test_two_processes_fit_and_draw_as_one(folder):
    assert on_two(logged, COMMAND) == [0, 0]
    assert "on 2 processes" in Path("log 0").read_text() and not Path("log 1").read_text()
    assert sorted(file.name for file in (folder / "out").iterdir()) == RESULTS
    y = data_sets(5, seed=1)
    np.save("y.npy", y.numpy())
    words = ["sample", "mine.py", "out/guide.safetensors", "--data", "y.npy", "--draws", "1000"]
    assert on_two(logged, words) == [0, 0]
    assert "written to draws.npz" in Path("log 0").read_text() and not Path("log 1").read_text()
    with np.load("draws.npz", allow_pickle=False) as found:
        draws = torch.as_tensor(found["mean"])
        assert found["verdict"].shape == (5,)
    check_draws(draws, y)
    centred = (draws - truth(y)[0][:, None]).double()
    correlations = torch.corrcoef(centred)
    # noise of its own in every process: 1,000 pairs of independent draws correlate by .03, and five times that is .16
    assert (correlations - torch.eye(5)).abs().max() < 0.16


def check_draws(draws: torch.Tensor, y: torch.Tensor) -> None:
    """``(M, 1000)`` draws for data sets ``(M, 5)``; five standard errors of 500 independent ones."""
    mean, deviation, _ = truth(y)
    assert ((draws.mean(1) - mean).abs() < 5 * deviation / 500**0.5).all()
    assert ((draws.std(1) / deviation - 1).abs() < 5 / 1_000**0.5).all()
