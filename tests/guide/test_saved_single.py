"""A saved guide of one data set answers as the first, to the last digit, whatever its draws come from."""

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

from amortized import DiffusionGuide
from amortized.guide import fitted as fitted_module
from amortized.guide.saving import content_of
from amortized.mcmc.many_chains import run_chains
from amortized.storage.file import UnreadableFile, read, write
from amortized.targets.compiler import has_compiler
from amortized.targets.curved import CurvedTarget, triangular_map
from amortized.targets.pyro.batching import Loop
from amortized.training.few_calls import weighed_once
from amortized.training.record import Training, material_of
from amortized.training.repair import fine_sampler
from amortized.warmup import warm_up
from tests.amortization.quick import BRIEF
from tests.known import seeded

Y = torch.tensor([1.0, -0.5, 2.0])


def groups(y):
    scale = pyro.sample("scale", dist.HalfNormal(1.0))
    with pyro.plate("groups", len(y)):
        mean = pyro.sample("mean", dist.Normal(0.0, scale))
        pyro.sample("y", dist.Normal(mean, 2.0), obs=y)
    pyro.deterministic("total", mean.sum())


ELSEWHERE = """
import sys
from amortized import DiffusionGuide
from amortized.storage.file import write
from tests.guide.test_saved_single import groups
guide = DiffusionGuide.load(sys.argv[1], groups)
write(sys.argv[2], guide.sample(50), {"diagnosis": str(guide.diagnose()), "evidence": guide.log_evidence()})
"""


def load(file: Path, model=groups) -> DiffusionGuide:
    return DiffusionGuide.load(file, model)


def same(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def answers_are_the_same(guide: DiffusionGuide, tmp_path: Path) -> bool:
    guide.diagnose()  # its checks look at the clock
    one, other = guide, load(guide.save(tmp_path / "judged"))
    first, second = one.draws(100), other.draws(100)
    assert same(first.sites, second.sites) and first.attributes == second.attributes
    assert first.target_calls == second.target_calls
    assert str(one.diagnose()) == str(other.diagnose())
    assert one.log_evidence() == other.log_evidence()
    assert (one.seconds, one.coordinates) == (other.seconds, other.coordinates)
    assert same(one.sample(10, correction="none"), other.sample(10, correction="none"))
    return same(one.sample(12_000), other.sample(12_000))


@pytest.fixture(scope="module")
def fitted():
    return DiffusionGuide(groups, progress=False, max_seconds=20).fit(Y)


@pytest.fixture
def guide(fitted):
    return copy.deepcopy(fitted)


@pytest.fixture
def file(fitted, tmp_path: Path):
    return fitted.save(tmp_path / "guide.safetensors")


def test_draws_are_the_same_and_so_is_the_file_of_a_loaded_guide(guide, file, tmp_path: Path):
    assert any(site.centring is not None for site in guide.target.latents.values())  # coordinates have moved
    before = torch.get_rng_state()
    again = load(file)
    assert torch.equal(before, torch.get_rng_state())
    one, other = read(file), read(again.save(tmp_path / "again"))
    assert same(one[0], other[0]) and one[1] == other[1]
    assert same(guide.sample(100), again.sample(100))
    assert guide.log_evidence() == again.log_evidence()
    assert (guide.seconds, guide.coordinates) == (again.seconds, again.coordinates)
    assert file.stat().st_size < 1e6


@pytest.mark.slow
def test_every_answer_is_the_same(guide, tmp_path: Path):
    assert answers_are_the_same(guide, tmp_path)


@pytest.mark.slow
def test_pyro_predicts_from_it_svi_trains_it_and_it_refines(guide, file):
    found = []
    for one in (guide, load(file)):
        pyro.clear_param_store()
        pyro.set_rng_seed(0)
        drawn = pyro.infer.Predictive(groups, guide=one, num_samples=5)(Y)["mean"]  # pyright: ignore
        svi = pyro.infer.SVI(groups, one, pyro.optim.Adam({"lr": 1e-3}), pyro.infer.Trace_ELBO())  # pyright: ignore
        losses = [svi.step(Y) for _ in range(2)]
        found.append((losses, drawn, one.sample(10)["mean"]))
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1]) and torch.equal(found[0][2], found[1][2])


def judged_anew(guide: DiffusionGuide, record: Training) -> None:
    guide.fitted.training_record = record
    guide.fitted._posterior = None
    guide.sampler = guide.fitted.sampler


def with_chains(guide):
    """The warm-up's chains answer, and twelve thousand draws are more than they have."""
    fit = guide.fitted
    made = fit.prepared
    chains = run_chains(made.white.target, made.warm.draws[:64].double(), 2.0, seeded(0), 200_000)
    fit.prepared = replace(made, warm=replace(made.warm, chains=chains))
    fit._posterior = None
    vars(fit.posterior((), {}))["chains"] = chains


def with_straight_coordinates(guide):
    fit, target = guide.fitted, guide.fitted.target
    straight = CurvedTarget(target, triangular_map(fit.prepared.warm.draws))
    fit.prepared = fit._prepare(straight, warm_up(straight, generator=seeded(0), max_seconds=10.0))
    fit.sampler = fit.prepared.sampler
    judged_anew(guide, Training(fit.sampler.process.with_steps(8)))


def with_repaired_sampler(guide):
    fit = guide.fitted
    fit.sampler = fine_sampler(fit.target, 3)
    torch.nn.init.normal_(next(iter(fit.sampler.policy.parameters())), generator=seeded(0))
    judged_anew(guide, Training(fit.sampler.process, losses=[1.0], source="trained sampler"))


def with_paths_weighed_once(guide):
    made, recipe = guide.fitted.prepared, guide.recipe
    material = material_of(made.white, (made.ends, made.log_ends), recipe.held_out)
    judged_anew(guide, weighed_once(guide.sampler, material, recipe, 0.1, 1e-4, seeded(0)))


WAYS = [with_chains, with_straight_coordinates, with_repaired_sampler, with_paths_weighed_once]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*draws")
@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_same_whatever_answers(way, guide, tmp_path: Path):
    way(guide)
    assert answers_are_the_same(guide, tmp_path)
    assert (guide.draws(10).attributes["source"] == "chains") == (way is with_chains)


@pytest.mark.slow
def test_trained_samplers_and_replicas_go_on_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    guide = DiffusionGuide(groups, progress=False, recipe=BRIEF, replicas=2).fit(Y)
    again = DiffusionGuide.load(guide.save(tmp_path / "file"), groups, recipe=BRIEF)
    first, second = (one.draws(100) for one in (guide, again))
    assert same(first.sites, second.sites) and first.attributes == second.attributes
    assert guide.training_record.losses == again.training_record.losses
    assert [one.seconds for one in guide.others] == [one.seconds for one in again.others]
    monkeypatch.setattr(fitted_module, "REFINEMENT", BRIEF)
    one, other = (each.refine(seconds=30).sample(50) for each in (guide, again))
    assert same(one, other)


@pytest.mark.slow
def test_another_process_finds_the_same(guide, tmp_path: Path):
    guide.diagnose()  # its checks look at the clock
    file = guide.save(tmp_path / "guide.safetensors")
    command = [sys.executable, "-c", ELSEWHERE, str(file), str(tmp_path / "draws")]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])})
    draws, words = read(tmp_path / "draws")
    assert same(draws, guide.sample(50))
    assert (words["diagnosis"], words["evidence"]) == (str(guide.diagnose()), list(guide.log_evidence()))


@pytest.mark.slow
@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")
def test_a_compiled_density_is_compiled_again(tmp_path: Path):
    guide = DiffusionGuide(groups, progress=False, compile=True).fit(Y)
    assert guide.target.batching == "vmap (compiled)"
    assert load(guide.save(tmp_path / "file")).target.batching == "vmap (compiled)"
    assert answers_are_the_same(guide, tmp_path)


def branching(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(mean if mean > 0 else 2 * mean, 1.0), obs=y)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:the log density of this model runs one particle after the other")
def test_a_model_that_no_batch_can_run(tmp_path: Path):
    guide = DiffusionGuide(branching, progress=False, max_seconds=20).fit(Y[0])
    again = load(guide.save(tmp_path / "file"), branching)
    assert again.target.batching == guide.target.batching == "loop"
    assert same(guide.sample(20), again.sample(20))


@pytest.mark.slow
def test_another_way_to_batch_is_said(guide, tmp_path: Path):
    guide.target._batch = Loop(guide.target.program)
    with pytest.warns(UserWarning, match="batched by vmap here, by loop in the fit: last digits"):
        load(guide.save(tmp_path / "file"))


def test_pickles_are_refused_in_one_line(fitted):
    for refused in (pickle.dumps, lambda one: torch.save(one, io.BytesIO())):
        with pytest.raises(TypeError, match=r"write guide.save\(path\)"):
            refused(fitted)


def other_prior(y):
    scale = pyro.sample("scale", dist.HalfNormal(1.01))
    with pyro.plate("groups", len(y)):
        pyro.sample("y", dist.Normal(pyro.sample("mean", dist.Normal(0.0, scale)), 2.0), obs=y)


def other_data(y):
    groups(torch.cat([y[:2], y[2:] + 1e-3]))


def more_data(y):
    groups(torch.cat([y, y]))


def other_site(y):
    groups(y)
    pyro.sample("more", dist.Normal(0.0, 1.0))


def with_parameter(y):
    groups(y)
    pyro.factor("free", 0 * pyro.param("theta", torch.tensor(1.0)))


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        (other_prior, "another model: the log density at one point was .* and is .* here"),
        (
            other_data,
            r"other data. data of y: there 3 finite values in float32 \(3,\).*Load it with the data of the fit",
        ),
        (more_data, r"another model. mean: there .*shape \(3,\).*here.*shape \(6,\)"),
        (other_site, "another model. more: there missing, here support Real"),
        (with_parameter, "other parameters. parameter theta: there missing.*Load the parameters of the fit first"),
    ],
)
def test_another_model_and_other_data_are_errors_that_show_the_difference(model, shown, file):
    pyro.clear_param_store()
    with pytest.raises(ValueError, match=f"was saved with {shown}.* fit again"):
        load(file, model)


CHANGES = {
    "no warm-up": (lambda tensors, fit: fit.pop("warm"), "does not fit a guide"),
    "a class of its own": (lambda tensors, fit: fit["warm"].update(record="os.system"), "no WarmUp"),
    "a missing tensor": (lambda tensors, fit: tensors.pop("fit0.warm.draws"), "does not fit a guide"),
    "a wrong shape": (lambda tensors, fit: tensors.update({"fit0.warm.shift": torch.zeros(1, 1, 1)}), "does not fit"),
    "a text for a number": (lambda tensors, fit: fit.update(seconds_a_call="1"), "not a float"),
    "an unknown answer": (lambda tensors, fit: fit["known"]["dict"].update(other=1), "does not fit a guide"),
}


@pytest.mark.slow
@pytest.mark.parametrize(("change", "message"), CHANGES.values(), ids=CHANGES)
def test_a_changed_file_with_a_good_digest_is_refused(change, message, file):
    tensors, words = read(file)
    change(tensors, words["fits"][0])
    write(file, tensors, words)
    with pytest.raises(UnreadableFile, match=message):
        load(file)


def test_an_argument_that_is_no_number_says_so(guide):
    guide.fitted.target.program.kwargs = {"how": object()}
    with pytest.raises(TypeError, match="kwargs.how is a object"):
        content_of([(guide.fitted, 0.0)], guide.plan, "1")
