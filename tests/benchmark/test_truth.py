"""Model files by path, with options, and what they know to be true."""

import math
from pathlib import Path

import pytest
import torch

from amortized.benchmark import truth
from amortized.files.errors import UserError

MODELS = Path(__file__).parents[2] / "models"
WITH_OPTIONS = """
import torch, pyro, pyro.distributions as dist

MODE_WEIGHTS = (0.25, 0.75)
SCALE = 2.0

def data(width=2, shift=0.0):
    return (torch.full((width,), shift),)

def model(mean):
    pyro.sample("x", dist.LogNormal(mean, 1.0).to_event(1))

def log_evidence(mean):
    return len(mean) * 0.5, 0.1

def sample(n, mean):
    return {"x": (mean + torch.randn(n, len(mean))).exp()}

def mode(draws):
    return (draws["x"][:, 0] > 1.0).long()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "wide.py").write_text(WITH_OPTIONS)
    return tmp_path / "wide.py"


def test_options_reach_data_and_the_truth_is_asked_with_the_arguments(file: Path):
    found = truth.load_problem(*truth.parse_model_argument(f"{file}:3,1.5"))
    assert found.target.dim == 3 and found.scale == 2.0 and found.log_evidence == (1.5, 0.1)
    assert found.sample is not None and found.mode is not None and found.mode_weights is not None
    assert found.mode_weights.tolist() == [0.25, 0.75]
    draws = found.sample(4_000, 0)
    assert draws.shape == (4_000, 3)
    torch.testing.assert_close(draws.mean(0), torch.full((3,), 1.5), atol=4.5 / math.sqrt(4_000), rtol=0)
    assert found.mode(torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]])).tolist() == [0, 1]


def test_exact_draws_depend_on_their_seed_alone(file: Path):
    sample = truth.load_problem(file).sample
    assert sample is not None
    before = torch.random.get_rng_state()
    first = sample(5, 1)
    torch.randn(3)
    assert sample(5, 1).equal(first) and not sample(5, 2).equal(first)
    torch.random.set_rng_state(before)
    sample(5, 1)
    assert torch.random.get_rng_state().equal(before)


def test_a_file_that_knows_nothing(tmp_path: Path):
    bare = tmp_path / "bare.py"
    bare.write_text("import pyro\ndef model():\n    pyro.sample('x', pyro.distributions.Normal(0., 1.))\n")
    found = truth.load_problem(bare)
    assert (found.log_evidence, found.sample, found.mode, found.mode_weights, found.scale) == (None,) * 4 + (1.0,)


def test_a_sample_that_takes_no_arguments_although_the_model_does():
    found = truth.load_problem(MODELS / "kidscore.py")
    assert found.sample is not None and found.log_evidence is not None
    draws = found.sample(16, 0)
    assert draws.shape == (16, 4) and bool(found.target.log_prob(draws).isfinite().all())


def test_imported_functions_are_no_truths(tmp_path: Path):
    bare = tmp_path / "bare.py"
    bare.write_text(
        "from pyro import sample\nfrom statistics import mode\nimport pyro.distributions as dist\n"
        "def model():\n    sample('x', dist.Normal(0., 1.))\n"
    )
    found = truth.load_problem(bare)
    assert (found.sample, found.mode) == (None, None)
    found.check()


@pytest.mark.parametrize("line", ["scale = 2.0", "log_evidence = (0.0, 0.1)", "mode_weights = [0.5, 0.5]", "mode = 3"])
def test_a_plain_value_under_a_small_name_is_told(file: Path, line: str):
    name = line.split()[0]
    file.write_text(f"{WITH_OPTIONS}\n{line}\n")
    with pytest.raises(UserError, match=f"{name} = .* is no function: write def {name}"):
        truth.load_problem(file)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("torch.randn(n, len(mean))", "torch.randn(n + 1, len(mean))", r"sample\(2\) gives \(3, 2\)"),
        (".exp()}", ".exp().log()}", "finite"),
        ("> 1.0).long()", "> 1.0).long()[:1]", "return a label for each"),
    ],
)
def test_faults_are_met_before_training(file: Path, old: str, new: str, said: str):
    file.write_text(WITH_OPTIONS.replace(old, new))
    with pytest.raises((UserError, ValueError), match=said):
        truth.load_problem(file).check()


@pytest.mark.parametrize(
    ("text", "said"),
    [("wide.py:x y", "are not Python literals"), ("wide.py:1,2,3", "does not take"), ("none.py", "is not there")],
)
def test_errors(file: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str):
    monkeypatch.chdir(file.parent)
    with pytest.raises(UserError, match=said):
        truth.load_problem(*truth.parse_model_argument(text))
