"""``amortized bench``: run, kill, go on, report; trained by the methods of tests/benchmark/tiny.py."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import amortized
from amortized import __main__ as cli
from amortized.benchmark import jobs

ROOT = Path(amortized.__file__).parents[1]
TINY = Path(__file__).parent / "tiny.py"
NORMAL = """
import torch, pyro, pyro.distributions as dist

LOG_EVIDENCE = (0.0, 0.0)

def data(width=2):
    return (torch.zeros(width),)

def model(mean):
    pyro.sample("x", dist.Normal(mean, 1.0).to_event(1))

def sample(n, mean):
    return {"x": mean + torch.randn(n, len(mean))}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command runs, beside a model and the tiny methods."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "normal.py").write_text(NORMAL)
    shutil.copy(TINY, tmp_path / "tiny.py")
    return tmp_path


def command(*more: str, methods: str = "tiny.py:narrow", out: str = "out") -> list[str]:
    return ["bench", "normal.py", "--methods", methods, "--steps", "3", "--paths", "50", "--out", out, *more]


def error_of(capsys, *argv: str) -> str:
    assert cli.main(argv) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("amortized: "), lines
    return lines[-1]


def table_of(out: str) -> str:
    """The report without times."""
    assert cli.main(["bench", "report", out, "--no-times"]) == 0
    return (Path(out) / "report.md").read_text()


def test_a_run_writes_one_file_a_cell_and_prints_the_table(folder: Path, capsys):
    assert cli.main(command("--seeds", "2", methods="tiny.py:narrow,tiny.py:broken")) == 0
    printed = capsys.readouterr()
    assert "| tiny:narrow | 2 | " in printed.out and "| tiny:broken | 2, 2 failed | " in printed.out
    assert "2 cells failed" in printed.err
    names = sorted(file.name for file in (folder / "out").iterdir())
    methods = ("exact-draws", "tiny-broken__steps-3", "tiny-narrow__steps-3")
    seeds = [(method, seed) for method in methods for seed in ((0, 1, 2) if method == "exact-draws" else (0, 1))]
    assert names == [f"normal__{method}__paths-50__seed-{seed}.json" for method, seed in seeds]


def test_an_interrupted_run_goes_on_to_the_table_of_a_whole_one(folder: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    methods = "tiny.py:narrow,tiny.py:wide"
    assert cli.main(command(methods=methods, out="whole")) == 0
    real, calls = jobs.run_cell, []

    def interrupted(cell):
        calls.append(cell)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(cell)

    monkeypatch.setattr(jobs, "run_cell", interrupted)
    assert cli.main(command(methods=methods)) == 130
    assert "interrupted, the finished cells are kept" in capsys.readouterr().err
    assert len(list((folder / "out").glob("*.json"))) == 3
    assert cli.main(command(methods=methods)) == 0
    assert "5 cells, 3 of them finished" in capsys.readouterr().err and len(calls) == 6
    assert table_of("out") == table_of("whole")


def test_failed_cells_are_kept_until_retried(folder: Path, capsys):
    run = command(methods="tiny.py:broken")
    assert cli.main(run) == 0
    (folder / "tiny.py").write_text(TINY.read_text() + "\nbroken = narrow\n")
    assert cli.main(run) == 0
    assert "1, 1 failed" in capsys.readouterr().out
    assert cli.main([*run, "--retry"]) == 0
    assert "failed" not in capsys.readouterr().out


def test_the_report(folder: Path, capsys):
    assert cli.main(command(methods="tiny.py:narrow,tiny.py:wide")) == 0
    (folder / "paper.json").write_text(json.dumps({"normal": {"tiny:wide": {"rw": 0.125}}}))
    assert cli.main(["bench", "report", "out", "--out", "docs", "--published", "paper.json"]) == 0
    assert "written to docs: report.md, report.html, delta_by_seconds.png" in capsys.readouterr().out
    text, page = ((folder / "docs" / f"report.{kind}").read_text() for kind in ("md", "html"))
    assert "RW published" in text and "![By seconds of training](delta_by_seconds.png)" in text
    assert "prefers-color-scheme: dark" in page and page.count("data:image/png;base64,") == 2
    assert "src=" not in page.replace('src="data:', "") and "width=device-width" in page
    assert cli.main(["bench", "report", "out", "--methods", "tiny:wide", "--metric", "rw"]) == 0
    assert "tiny:narrow" not in (folder / "out" / "report.md").read_text()


@pytest.mark.filterwarnings("default")
def test_results_of_an_older_model_file_are_told(folder: Path, capsys):
    assert cli.main(command()) == 0
    (folder / "normal.py").write_text(NORMAL + "\n# changed\n")
    assert cli.main(command()) == 0
    assert "warning: out has results of another version of normal.py" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (command(methods="nothing"), "method 'nothing'"),
        (command(methods="tiny.py:nothing"), "tiny.py has no function nothing"),
        (["bench", "none.py", *command()[2:]], "none.py is not there"),
        (["bench", "normal.py:1,2", *command()[2:]], "does not take (1, 2)"),
        (["bench", "normal.py", "normal.py", *command()[2:]], "is there twice"),
        (command("--scheduler", "tcp://x:1"), "add --backend dask"),
        (["bench", "report", "none"], "none has no results"),
    ],
)
def test_errors_in_one_line(capsys, argv: list[str], said: str):
    assert said in error_of(capsys, *argv)


def test_errors_of_a_report(folder: Path, capsys):
    assert cli.main(command()) == 0
    assert "no metric beauty" in error_of(capsys, "bench", "report", "out", "--metric", "beauty")
    assert "there are tiny:narrow" in error_of(capsys, "bench", "report", "out", "--methods", "x")
    assert "--published none.json" in error_of(capsys, "bench", "report", "out", "--published", "none.json")
    for wrong in ([], {"normal": 1}, {"normal": {"pis": 1}}, {"normal": {"pis": {"delta": "1"}}}):
        (folder / "wrong.json").write_text(json.dumps(wrong))
        assert "write JSON, {target" in error_of(capsys, "bench", "report", "out", "--published", "wrong.json")


@pytest.mark.parametrize(("text", "said"), [("3.5", "3.5 is not a whole number"), ("0", "0 is not at least 1")])
def test_steps_are_whole(capsys, text: str, said: str):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["bench", "normal.py", "--methods", "pis", "--steps", text])
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [["--steps", "1", "--seconds", "1"], [], ["--steps", "0"], ["--seconds", "x"], ["--seconds", "inf"]],
)
def test_exactly_one_budget(capsys, options: list[str]):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["bench", "normal.py", "--methods", "pis", *options])
    said = capsys.readouterr().err
    assert "--steps" in said or "--seconds" in said


def test_without_joblib(capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "joblib", None)
    assert "pip install 'amortized[bench]'" in error_of(capsys, *command())


def killed_after_the_first_cell(argv: list[str], out: Path, environment: dict[str, str]) -> None:
    """SIGKILL to the command as soon as a result is there."""
    process = subprocess.Popen([sys.executable, "-m", "amortized", *argv], env=environment)
    limit = time.monotonic() + 120
    while not list(out.glob("*slow*.json")):
        assert process.poll() is None and time.monotonic() < limit, "the run ended before it could be killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize("number", ["1", "2"])
def test_a_killed_run_goes_on_to_the_table_of_a_whole_one(folder: Path, number: str):
    """2 methods x 3 seeds by steps, and the noise floors: the tables are the same to the last byte, times left out."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    more = ["--seeds", "3", "--jobs", number]
    methods = "tiny.py:slow,tiny.py:wide"
    killed_after_the_first_cell(command(*more, methods=methods), folder / "out", environment)
    kept = {file: file.read_bytes() for file in (folder / "out").glob("*.json")}
    assert 1 <= len(kept) < 9
    for out in ("out", "whole"):
        argv = [sys.executable, "-m", "amortized", *command(*more, methods=methods, out=out)]
        subprocess.run(argv, env=environment, check=True, capture_output=True)
    assert all(file.read_bytes() == content for file, content in kept.items())
    assert len(list((folder / "out").glob("*.json"))) == 9
    assert table_of("out") == table_of("whole")


@pytest.mark.slow
@pytest.mark.parametrize("scheduled", [False, True])
def test_a_dask_cluster_gives_the_table_of_one_process(scheduled: bool):
    distributed = pytest.importorskip("distributed")
    assert cli.main(command("--seeds", "2", out="here")) == 0
    dask = ["--seeds", "2", "--jobs", "2", "--backend", "dask"]
    if scheduled:
        with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
            assert cli.main(command(*dask, "--scheduler", cluster.scheduler_address)) == 0
    else:
        assert cli.main(command(*dask)) == 0
    assert table_of("out") == table_of("here")
