"""A saved amortized guide answers as the first, to the last digit; files of other guides and models are refused."""

from __future__ import annotations

import copy
import io
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized import DiffusionGuide, GFlowNet, VarGradGuide
from amortized.policies.uncontrolled import Uncontrolled
from amortized.samplers import DiffusionSampler
from amortized.storage.file import UnreadableFile, read, write
from tests.amortization.quick import BRIEF, conjugate, data_sets, shortened

NEW = data_sets(4, seed=1)
ELSEWHERE = """
import sys, torch
from amortized import DiffusionGuide
from amortized.storage.file import write
from tests.amortization.quick import BRIEF, conjugate, data_sets
guide = DiffusionGuide.load(sys.argv[1], conjugate, recipe=BRIEF)
write(sys.argv[2], guide.sample(50, data_sets(4, seed=1)), {"verdict": guide.diagnose(data_sets(1, seed=2)[0]).verdict})
"""


@pytest.fixture(scope="module")
def guide():
    with pytest.MonkeyPatch.context() as patch:
        shortened(patch)
        return DiffusionGuide(conjugate, amortize="y", recipe=BRIEF, progress=False).fit(data_sets(200))


@pytest.fixture
def file(guide, tmp_path: Path):
    return guide.save(tmp_path / "guide.safetensors")


def load(file: Path, model=conjugate) -> DiffusionGuide:
    return DiffusionGuide.load(file, model, recipe=BRIEF)


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_loaded_guide_answers_as_the_first_to_the_last_digit(guide, file):
    again = load(file)
    assert same(guide.sample(100, NEW), again.sample(100, NEW))
    assert guide.log_evidence(NEW) == again.log_evidence(NEW)
    assert str(guide.diagnose(NEW[0])) == str(again.diagnose(NEW[0]))
    assert guide.seconds == again.seconds and guide.coordinates == again.coordinates
    first, second = (one.refine(NEW[0], seconds=30).sample(50) for one in (guide, again))
    assert same(first, second)
    assert str(guide.calibrate(20, 9)) == str(again.calibrate(20, 9))


def test_pyro_predicts_from_it_and_svi_trains_it(guide, file):
    found = []
    for one in (copy.deepcopy(guide), load(file)):
        pyro.clear_param_store()
        pyro.set_rng_seed(0)
        svi = pyro.infer.SVI(conjugate, one, pyro.optim.Adam({"lr": 1e-3}), pyro.infer.Trace_ELBO())  # pyright: ignore
        losses = [svi.step(NEW[0]) for _ in range(2)]
        found.append((losses, pyro.infer.Predictive(conjugate, guide=one, num_samples=5)(NEW[0])["mean"]))
    assert found[0][0] == found[1][0] and torch.equal(found[0][1], found[1][1])


def test_another_process_finds_the_same(guide, file, tmp_path: Path):
    guide = load(file)
    command = [sys.executable, "-c", ELSEWHERE, str(file), str(tmp_path / "draws")]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
    draws, words = read(tmp_path / "draws")
    assert same(draws, guide.sample(50, NEW))
    assert words["verdict"] == guide.diagnose(data_sets(1, seed=2)[0]).verdict


def grouped(y):
    location = pyro.sample("location", dist.Normal(0.0, 1.0))
    scale = pyro.sample("scale", dist.HalfNormal(1.0))
    with pyro.plate("groups", 3):
        mean = pyro.sample("mean", dist.Normal(location, scale))
        pyro.sample("y", dist.Normal(mean, 3.0), obs=y)


@pytest.mark.slow
def test_moved_coordinates_replicas_and_a_kept_untrained_sampler_survive(tmp_path: Path, monkeypatch):
    shortened(monkeypatch)
    guide = DiffusionGuide(grouped, amortize="y", recipe=BRIEF, progress=False, replicas=2).fit(data_sets(200, size=3))
    assert any(site.centring is not None for site in guide.target.latents.values())
    for one in [guide, *guide.others]:
        record = one.fitted.training_record
        record.kept = DiffusionSampler(record.sampling, Uncontrolled(guide.target.dim))
    again = load(guide.save(tmp_path / "guide.safetensors"), grouped)
    y = data_sets(4, seed=1, size=3)
    assert again.training_record.kept is not None and len(again.others) == 1
    assert guide.seconds == again.seconds and guide.others[0].seconds == again.others[0].seconds
    assert same(guide.sample(100, y), again.sample(100, y))
    assert same(guide.draws(100, y[0]).sites, again.draws(100, y[0]).sites)
    assert guide.others[0].log_evidence(y) == again.others[0].log_evidence(y)


def test_pickles_are_refused_in_one_line_and_a_copy_is_whole(guide):
    for refused in (pickle.dumps, lambda one: torch.save(one, io.BytesIO())):
        with pytest.raises(TypeError, match=r"write guide.save\(path\)"):
            refused(guide)
    one, other = copy.deepcopy(guide), copy.deepcopy(guide)
    assert same(one.sample(10, NEW), other.sample(10, NEW)) and one.sampler is not other.sampler


def other_density(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 3.0))
    pyro.sample("y", dist.Normal(mean, 1.0).expand(y.shape).to_event(1), obs=y)


def other_site(y):
    location = pyro.sample("location", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(location, 1.0).expand(y.shape).to_event(1), obs=y)


def other_support(y):
    mean = pyro.sample("mean", dist.HalfNormal(1.0))
    pyro.sample("y", dist.Normal(mean, 1.0).expand(y.shape).to_event(1), obs=y)


@pytest.mark.parametrize(
    ("model", "shown"),
    [(other_density, "log density at one point was"), (other_site, "location"), (other_support, "mean: there support")],
)
def test_another_model_is_an_error_that_shows_the_difference(model, shown, file):
    with pytest.raises(ValueError, match=f"saved with another model.*{shown}.*fit again"):
        load(file, model)


CHANGES = {
    "an older version": (lambda tensors, words: words.update(version="0.0.9"), "version '0.0.9'.*pip install"),
    "a newer format": (lambda tensors, words: words.update(format=99), "format 99"),
    "another guide": (lambda tensors, words: words.update(guide="os.system"), "guide 'os.system'"),
    "NaN weights": (lambda tensors, words: tensors["fit0.gaussian.head.bias"].fill_(torch.nan), "has NaN"),
    "another dtype": (
        lambda tensors, words: tensors.update({"fit0.gaussian.head.bias": tensors["fit0.gaussian.head.bias"].double()}),
        "is torch.float64",
    ),
    "another shape": (
        lambda tensors, words: tensors.update({"fit0.gaussian.head.bias": torch.zeros(1)}),
        r"of shape \(1,\) there",
    ),
    "a missing weight": (lambda tensors, words: tensors.pop("fit0.gaussian.head.bias"), "is missing there"),
    "one weight more": (lambda tensors, words: tensors.update({"fit0.sampler.x": torch.zeros(1)}), "missing in this"),
    "no generator": (lambda tensors, words: tensors.pop("fit0.generator"), "does not fit a guide"),
    "a short generator": (lambda tensors, words: tensors.update({"fit0.generator": torch.zeros(3)}), "does not fit"),
    "words missing": (lambda tensors, words: words.pop("fits"), "lacks parts"),
    "arguments of another kind": (lambda tensors, words: words.update(args={"tensor": "no"}), "does not fit a guide"),
    "fits of another kind": (lambda tensors, words: words.update(fits=7), "does not fit a guide"),
}


@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_changed_file_with_a_good_digest_is_refused(change, message, file):
    tensors, words = read(file)
    change(tensors, words)
    write(file, tensors, words)
    with pytest.raises(UnreadableFile, match=message):
        load(file)


def test_times_that_do_not_rise_are_refused(file):
    tensors, words = read(file)
    write(file, {**tensors, "fit0.times": tensors["fit0.times"].flip(0)}, words)
    with pytest.raises(ValueError, match="rise from 0 to 1"):
        load(file)


def test_what_is_code_is_given_again_and_nothing_else(file):
    with pytest.raises(TypeError, match="was saved with recipe=: give the same recipe="):
        DiffusionGuide.load(file, conjugate)
    with pytest.raises(TypeError, match="was saved without sampler=: leave sampler= out"):
        DiffusionGuide.load(file, conjugate, recipe=BRIEF, sampler=GFlowNet)
    with pytest.raises(TypeError, match="seed= is in the file"):
        DiffusionGuide.load(file, conjugate, recipe=BRIEF, seed=1)
    with pytest.raises(UnreadableFile, match=r"write DiffusionGuide.load\(path, model\)"):
        VarGradGuide.load(file, conjugate, recipe=BRIEF)


def test_what_cannot_be_saved_says_so(guide, tmp_path: Path):
    with pytest.raises(RuntimeError, match="save came before fit"):
        DiffusionGuide(conjugate).save(tmp_path / "file")
    one = copy.copy(guide)
    one.fitted = copy.copy(guide.fitted)
    one.fitted.training_record = None
    with pytest.raises(TypeError, match="amortize='y'"):
        one.save(tmp_path / "file")
    part = copy.copy(guide)
    part.fitted = copy.copy(guide.fitted)
    part.fitted.call = replace(guide.fitted.call, kwargs={"how": object()})
    with pytest.raises(TypeError, match="kwargs.how is a object"):
        part.save(tmp_path / "file")
    assert not list(tmp_path.iterdir())
