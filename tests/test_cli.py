"""The command line on small files of a user's: what it writes and prints, and every error in one line."""

import csv
import importlib
import runpy
import sys
from pathlib import Path

import numpy
import pytest

import amortized
from amortized import cli
from amortized.baselines import nuts
from amortized.cli import fit
from amortized.cli.baselines import BASELINES
from amortized.files import outputs

NORMAL = """
import math
import torch, pyro, pyro.distributions as dist

LOG_EVIDENCE = -0.5 * math.log(4 * math.pi) - 1.0  # y ~ N(0, 2) in closed form

def data():
    return (torch.tensor(2.0),)

def model(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    pyro.deterministic("twice", 2 * mean)
    pyro.sample("y", dist.Normal(mean, 1.0), obs=y)

def by_keyword(*, y):
    model(y)
"""
WITHOUT_DATA = """
import pyro, pyro.distributions as dist

def model():
    pyro.sample("inner/x", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
"""
DISCRETE = """
import torch, pyro, pyro.distributions as dist

def model():
    p = pyro.sample("p", dist.Beta(1.0, 1.0))
    z = pyro.sample("z", dist.Bernoulli(p))
    pyro.sample("y", dist.Normal(z, 1.0), obs=torch.tensor(1.0))
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write ``text`` as a model file into the test's own folder, where the command also runs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def written(text: str, name: str = "mine.py") -> str:
        (tmp_path / name).write_text(text)
        return name

    return written


def error_of(capsys, *argv: str) -> str:
    """The one line on stderr of a command that fails on the user's account."""
    assert cli.main(argv) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("fitting ")]
    assert len(lines) == 1 and lines[0].startswith("amortized: "), lines
    return lines[0]


def short_nuts(target, seed):
    return nuts.run(target, chains=2, draws=50, warmup=30, seed=seed)


def test_fit_and_compare(write, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(BASELINES, "nuts", short_nuts)
    options = ["--max-seconds", "8", "--draws", "500", "--report"]
    assert cli.main(["fit", write(NORMAL), "--compare", "nuts", *options]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("model of mine.py: ")
    for word in ("nuts mean", "difference in sd", "sd ratio", "twice", "density calls", "log evidence", "rhat"):
        assert word in printed
    assert "log evidence in mine.py: -2.266" in printed
    out = tmp_path / "runs" / "mine"
    files = ["guide.safetensors", "nuts.nc", "posterior.nc", "posterior.png", "report.html", "summary.csv"]
    assert sorted(file.name for file in out.iterdir()) == files
    assert f"report: {Path('runs/mine/report.html')}" in printed
    with (out / "summary.csv").open() as stream:
        rows = {(row["parameter"], row["method"]): row for row in csv.DictReader(stream)}
    assert set(rows) == {(name, method) for name in ("mean", "twice") for method in ("guide", "nuts")}
    assert float(rows["mean", "guide"]["mean"]) == pytest.approx(1.0, abs=4 * (0.5 / 500) ** 0.5)
    arviz = importlib.import_module("arviz")
    posterior = arviz.from_netcdf(out / "posterior.nc").posterior
    assert posterior["mean"].shape == (1, 500) and posterior.attrs["verdict"] in printed
    assert arviz.from_netcdf(out / "nuts.nc").posterior["mean"].shape == (2, 50)
    assert (out / "posterior.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "report.html").read_text()
    for text in ("amortized fit mine.py --compare nuts", "1 of 1 observations", "file = runpy.run_path("):
        assert text.replace("'", "&#39;") in page

    guide = str(out / "guide.safetensors")
    assert cli.main(["sample", "mine.py", guide, "--draws", "100"]) == 0
    with numpy.load("draws.npz", allow_pickle=False) as found:
        assert found["mean"].shape == (100,)
        assert found["mean"].mean() == pytest.approx(1.0, abs=5 * (0.5 / 100) ** 0.5)
        assert found["verdict"].tolist() == [posterior.attrs["verdict"]]
    numpy.save("y.npy", numpy.zeros(3))
    capsys.readouterr()
    assert "fitted to one data set: leave --data out" in error_of(capsys, "sample", "mine.py", guide, "--data", "y.npy")


def test_a_method_that_fails_costs_nothing_else(write, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    def broken(target, seed):
        raise ValueError("no start\nwas found")

    monkeypatch.setitem(BASELINES, "smc", broken)
    monkeypatch.setitem(BASELINES, "nuts", short_nuts)
    options = ["--out", str(tmp_path / "a" / "b"), "--max-seconds", "8", "--draws", "100"]
    assert cli.main(["fit", write(WITHOUT_DATA), "--compare", "smc", "nuts", "nuts", *options]) == 1
    printed = capsys.readouterr()
    assert "smc failed: ValueError: no start was found" in printed.out and "amortized: smc failed" in printed.err
    files = {file.name for file in (tmp_path / "a" / "b").iterdir()}
    assert files == {"guide.safetensors", "nuts.nc", "posterior.nc", "posterior.png", "summary.csv"}
    posterior = importlib.import_module("arviz").from_netcdf(tmp_path / "a" / "b" / "posterior.nc").posterior
    assert posterior["inner.x"].shape == (1, 100, 2)


def test_info(write, capsys):
    assert cli.main(["info", write(NORMAL)]) == 0
    printed = capsys.readouterr().out
    for line in (
        "dimension  1 unconstrained coordinates",
        "density    vmap (captured), float32 on cpu",
        "mean         ()     x[0]         Real()",
        "mean         as written: its prior is constant",
        "twice          ()",
        "y              ()",
    ):
        assert line in printed.splitlines()


def test_info_names_what_is_summed_out(write, capsys):
    assert cli.main(["info", write(DISCRETE)]) == 0
    assert "summed out  z" in capsys.readouterr().out


def test_module_and_version(capsys, monkeypatch: pytest.MonkeyPatch):
    """As ``python -m amortized`` runs it, without a process that imports everything again."""
    monkeypatch.setattr(sys, "argv", ["amortized", "--version"])
    monkeypatch.delitem(sys.modules, "amortized.__main__", raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("amortized", run_name="__main__")
    assert capsys.readouterr().out.strip() == f"amortized {amortized.__version__}" and not ended.value.code


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (NORMAL, ["--model", "modle"], "mine.py has no function modle: it has model, by_keyword; type --model model"),
        ("x = 1\n", [], "has no function model: write def model(...): in it"),
        (NORMAL + "\ndef data():\n    return 1 / 0\n", [], "ZeroDivisionError: division by zero"),
        (NORMAL + "\ndef data():\n    return torch.ones(2)\n", [], "data() returned a Tensor: return a tuple"),
        (NORMAL + "\ndef data():\n    return {'z': 1.0}\n", [], "missing a required argument: 'y'"),
        (NORMAL + "\ndata = None\n", [], "cannot be called with what data() gives, 0 values"),
        ("def model(:\n", [], "mine.py:1: SyntaxError"),
        ("import no_such_module\n", [], "mine.py:1: ModuleNotFoundError"),
        ("def model():\n    raise KeyError('site')\n", [], "mine.py:2: KeyError: 'site'"),
        ("import math\ndef model():\n    return math.pi\n", [], "no continuous latent site"),
    ],
)
@pytest.mark.parametrize("command", ["fit", "info"])
def test_errors_name_the_thing(write, capsys, command: str, text: str, options: list[str], said: str):
    assert said in error_of(capsys, command, write(text), *options)


def test_keywords(write, capsys):
    file = write(NORMAL + "\ndef data():\n    return {'y': torch.tensor(2.0)}\n")
    assert cli.main(["info", file, "--model", "by_keyword"]) == 0


def test_a_file_that_is_not_there(write, capsys):
    assert "none.py is not there" in error_of(capsys, "fit", "none.py")
    assert "is a folder" in error_of(capsys, "info", ".")


def test_a_device_that_is_not_there(write, capsys):
    said = error_of(capsys, "fit", write(NORMAL), "--device", "abacus")
    assert said == "amortized: device abacus is not there: type --device cpu"


def test_a_folder_that_cannot_be_written(write, capsys, tmp_path: Path):
    (tmp_path / "taken").write_text("")
    assert "is a file, not a folder" in error_of(capsys, "fit", write(NORMAL), "--out", "taken/here")


def test_nothing_typed_shows_help(capsys):
    assert cli.main([]) == 0
    assert "usage: amortized" in capsys.readouterr().out


@pytest.mark.parametrize("options", [["--draws", "1"], ["--max-seconds", "0"], ["--compare", "x"], ["--draws", "x"]])
def test_bad_options(write, capsys, options: list[str]):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["fit", write(NORMAL), *options])
    assert options[0] in capsys.readouterr().err


def test_files_appear_together_or_not_at_all(tmp_path: Path):
    out = tmp_path / "out"
    with pytest.raises(RuntimeError), outputs.together(out) as temporary:
        (temporary / "posterior.nc").write_text("half")
        raise RuntimeError
    assert list(out.iterdir()) == []
    with outputs.together(out) as temporary:
        (temporary / "posterior.nc").write_text("whole")
    assert [file.name for file in out.iterdir()] == ["posterior.nc"]


def test_interruption_writes_nothing(write, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    def interrupted(guide, *args):
        raise KeyboardInterrupt

    monkeypatch.setattr(fit.DiffusionGuide, "fit", interrupted)
    assert cli.main(["fit", write(NORMAL)]) == 130
    assert "interrupted, nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
