"""One guide for every data set of models in closed form: draws, evidence, batches, warnings and errors."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas
import pyro
import pyro.distributions as dist
import pytest
import torch

import amortized
from amortized import DiffusionGuide, LocalTo, Recipe
from amortized.guide import many
from amortized.guide.options import Options
from amortized.guide.plan import Plan
from amortized.policies.embeddings import DeepSets
from amortized.samplers import GFlowNet
from tests.amortization.quick import (
    BRIEF,
    SIZE,
    conjugate,
    data_sets,
    images,
    rows_of_images,
    shortened,
    truth,
    truth_of_images,
)

FIT = data_sets(200)
NEW = data_sets(4, seed=1)


@pytest.fixture(scope="module")
def guide():
    with pytest.MonkeyPatch.context() as patch:
        shortened(patch)
        return DiffusionGuide(conjugate, amortize="y", recipe=BRIEF, progress=False).fit(FIT)


@pytest.fixture(scope="module")
def local():
    with pytest.MonkeyPatch.context() as patch:
        shortened(patch)
        chosen = LocalTo("images")
        return DiffusionGuide(rows_of_images, amortize=chosen, recipe=BRIEF, progress=False).fit(images(100))


def check_moments(draws: torch.Tensor, mean: torch.Tensor, deviation: torch.Tensor) -> None:
    """``(M, N)`` draws; five standard errors of N/2 independent ones."""
    count = draws.shape[1] / 2
    assert ((draws.mean(1) - mean).abs() < 5 * deviation / math.sqrt(count)).all()
    assert ((draws.std(1) / deviation - 1).abs() < 5 / math.sqrt(2 * count)).all()


@pytest.mark.parametrize("correction", ["resample", "mcmc"])
def test_draws_of_fresh_data_sets_have_their_own_moments(guide, correction):
    draws = guide.sample(1_000, NEW, correction=correction)
    assert set(draws) == {"mean", "twice"} and draws["mean"].shape == (4, 1_000)
    assert torch.equal(draws["twice"], 2 * draws["mean"])
    mean, deviation, _ = truth(NEW)
    check_moments(draws["mean"], mean, deviation)


def test_one_data_set_has_no_dimension_of_its_own(guide):
    alone, batch = guide.sample(500, NEW[2]), guide.sample(500, NEW[2:3])
    assert alone["mean"].shape == (500,) and batch["mean"].shape == (1, 500)
    mean, deviation, _ = truth(NEW)
    check_moments(alone["mean"][None], mean[2:3], deviation)
    assert guide.sample(20, list(NEW))["mean"].shape == (4, 20)
    assert guide.draws(30, NEW[0]).sites["mean"].shape == (30,)
    assert guide.sample(7, NEW[0], correction="none")["mean"].shape == (7,)
    check_moments(guide.sample(500, NEW[2], correction="sequential")["mean"][None], mean[2:3], deviation)


def test_large_batches_are_drawn_in_parts(guide, monkeypatch):
    monkeypatch.setattr("amortized.guide.many.PATHS_AT_ONCE", 2_000)
    mean, deviation, _ = truth(NEW)
    check_moments(guide.sample(400, NEW)["mean"], mean, deviation)
    assert guide.log_weights(900, NEW).shape == (900, 4)


def test_the_evidence_is_that_of_each_data_set(guide):
    expected = truth(NEW)[2]
    for estimate, value in zip(guide.log_evidence(NEW), expected, strict=True):
        assert abs(estimate.value - float(value)) < 4 * estimate.std_error + 1e-3
        assert estimate.std_error < 0.05
    assert abs(guide.log_evidence(NEW[0]).value - float(expected[0])) < 0.1


def test_the_mean_weight_of_every_data_set_is_its_evidence(guide):
    """Three standard errors of 5 000 weights for each of four."""
    relative = (guide.log_weights(5_000, NEW) - truth(NEW)[2]).exp()
    assert relative.shape == (5_000, 4)
    assert ((relative.mean(0) - 1).abs() < 3 * relative.std(0) / math.sqrt(5_000)).all()
    assert guide.log_weights(10, NEW[0]).shape == (10,)


def test_a_verdict_for_each(guide):
    diagnoses = guide.diagnose(NEW[:2])
    assert len(diagnoses) == 2
    for diagnosis in [*diagnoses, guide.diagnose(NEW[0])]:
        assert diagnosis.verdict == "trustworthy"
        assert diagnosis.elbo <= diagnosis.log_evidence.value <= diagnosis.eubo + 0.01


def test_other_summaries_take_the_data_too(guide):
    mean, deviation, _ = truth(NEW)
    assert abs(float(guide.median(NEW[0])["mean"]) - float(mean[0])) < 0.15 * float(deviation)
    low, high = guide.quantiles([0.05, 0.95], NEW[0])["mean"]
    assert abs(float(high - low) / (2 * 1.645 * float(deviation)) - 1) < 0.15
    found = guide.to_arviz(NEW[0], num_samples=50)
    assert found.posterior["mean"].shape == (1, 50) and found.log_likelihood["y"].shape == (1, 50, SIZE)
    torch.testing.assert_close(torch.as_tensor(found.observed_data["y"].values), NEW[0])


def test_data_far_from_those_of_training_are_flagged(guide):
    with pytest.warns(UserWarning, match=r"at this data set the sampler is not .*% effective draws.*refine") as told:
        guide.sample(50, 1e4 * torch.arange(-1.0, 4.0))
    assert told[0].filename == __file__
    with pytest.warns(UserWarning, match=r"at 1 of 3 data sets \[1\] the sampler is not to be trusted"):
        guide.sample(50, torch.stack([NEW[0], 1e4 * torch.arange(-1.0, 4.0), NEW[1]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        guide.sample(50, NEW)


def test_uneven_weights_are_judged_by_more_paths(guide, monkeypatch: pytest.MonkeyPatch):
    assert len(guide.at(NEW[0]).weights()) == many.PATHS
    monkeypatch.setattr(many, "SCARCE", 2.0)
    assert len(guide.at(NEW[0]).weights()) == many.MORE_PATHS


def test_a_posterior_can_be_refined(guide):
    before = [weight.clone() for weight in guide.sampler.parameters()]
    refined = guide.refine(NEW[0], seconds=1.0)
    mean, deviation, evidence = truth(NEW[:1])
    check_moments(refined.sample(2_000)["mean"][None], mean, deviation)
    estimate = refined.log_evidence()
    assert abs(estimate.value - float(evidence)) < 4 * estimate.std_error + 1e-3
    assert refined.diagnose().verdict == "trustworthy"
    assert all(torch.equal(*pair) for pair in zip(before, guide.sampler.parameters(), strict=True))


def test_a_calibrated_guide_passes(guide):
    """Draws are resampled by exact weights; a few of 200 data sets are poorly known after so short a training."""
    guide.fitted.generator.manual_seed(0)  # whatever the tests before it have drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        calibration = guide.calibrate(200, draws=39)
    assert calibration.passed and "calibrated" in str(calibration)
    assert calibration.scalars[0].ranks.shape == (200,) and calibration.scalars[0].draws == 39


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.ones(3), r"'y' is a tensor of shape \(3,\): pass \(5,\) for one data set or \(M, 5\)"),
        (torch.ones(2, 2, 5), r"'y' is a tensor of shape \(2, 2, 5\)"),
        (
            torch.full((5,), 0.1).double() / 3,
            r"'y' is a float64 tensor, .* fitted on float32, .* y.to\(torch.float32\)",
        ),
        (torch.tensor([1.0, torch.nan, 0.0, 0.0, 0.0]), "'y': 1 of its 5 values are NaN or infinite"),
        ([1.0] * 4, r"'y' is a tensor of shape \(4,\): pass \(5,\)"),
        ("data", r"'y' is a str: write a tensor, an array or a list of numbers"),
    ],
)
@pytest.mark.parametrize("ask", ["sample", "log_evidence", "diagnose", "refine"])
def test_data_that_do_not_fit_are_named(guide, ask, value, message):
    arguments = (10, value) if ask == "sample" else (value,)
    with pytest.raises(ValueError, match=message):
        getattr(guide, ask)(*arguments)


def test_the_number_of_things_named_must_agree(guide):
    with pytest.raises(ValueError, match=r"2 values for 'y': pass one for each"):
        guide.sample(10, NEW[0], NEW[0])
    with pytest.raises(ValueError, match=r"no value for 'y': the guide was fitted on 'y', write y="):
        guide.sample(10)
    with pytest.raises(ValueError, match="num_samples=0: write a whole number"):
        guide.sample(0, NEW[0])
    with pytest.raises(ValueError, match="correction='smooth': write one of"):
        guide.sample(10, NEW[0], correction="smooth")


def test_data_by_name_and_as_users_have_them(guide):
    """Weights of the same paths, since the generator is put back to the same state before each."""
    calls = [
        {"y": NEW[0]},
        {"y": NEW[0].double().numpy()},
        {"y": NEW[0].tolist()},
        {"y": pandas.Series(NEW[0].numpy())},
    ]
    found = []
    for named in calls:
        guide.fitted.generator.manual_seed(5)
        found.append(guide.log_weights(20, **named))
    guide.fitted.generator.manual_seed(5)
    by_place = guide.log_weights(20, NEW[0])
    assert all(torch.equal(one, by_place) for one in found)
    whole = torch.tensor([1, -1, 0, 2, 1])
    guide.fitted.generator.manual_seed(5)
    rounded = guide.log_weights(20, y=whole)
    guide.fitted.generator.manual_seed(5)
    assert torch.equal(rounded, guide.log_weights(20, whole.float()))


def test_every_method_takes_data_by_name(guide, tmp_path):
    assert guide.sample(7, y=NEW[0])["mean"].shape == guide.draws(7, y=NEW[0]).sites["mean"].shape == (7,)
    assert guide.sample(7, y=NEW)["mean"].shape == (4, 7)
    assert guide.at(y=NEW[0]).log_evidence().std_error < 0.05 and guide.log_evidence(y=NEW[0]).std_error < 0.05
    assert guide.diagnose(y=NEW[0]).verdict and guide.refine(y=NEW[0], seconds=0.2).sample(5)["mean"].shape == (5,)
    assert guide.median(y=NEW[0])["mean"].shape == () and guide.quantiles([0.1, 0.9], y=NEW)["mean"].shape == (2, 4)
    assert len(guide.draws(12, y=NEW[0])) == 12
    assert guide.to_arviz(y=NEW[0], num_samples=12).posterior["mean"].shape == (1, 12)
    assert guide.report(tmp_path / "report.html", y=NEW[0]).exists()


@pytest.mark.parametrize("ask", ["at", "draws", "sample", "log_evidence", "diagnose", "refine", "to_arviz"])
def test_names_that_are_none_are_refused(guide, ask):
    count = (5,) if ask in ("draws", "sample") else ()
    with pytest.raises(ValueError, match="x= is neither an option here nor one of the guide's data: write y="):
        getattr(guide, ask)(*count, x=NEW[0])
    with pytest.raises(ValueError, match="'y' is given by its place and by its name: leave one of them out"):
        getattr(guide, ask)(*count, NEW[0], y=NEW[0])


def test_data_sets_of_a_batch_are_a_dimension_of_arviz_s_record(guide):
    data = guide.to_arviz(NEW, num_samples=50, coords={"data_set": list("abcd")})
    assert data.posterior["mean"].dims == ("chain", "draw", "data_set")
    assert np.allclose(data.observed_data["y"].sel(data_set="c").values, NEW[2].numpy())
    assert len(data.posterior.attrs["log_evidence"]) == 4 and data.posterior.attrs["seed"] == 0
    assert data.sample_stats["lp"].shape == (1, 50, 4)


@pytest.mark.parametrize("ask", ["at", "refine"])
def test_some_things_are_said_of_one_data_set_at_a_time(guide, ask):
    with pytest.raises(ValueError, match="4 data sets at once"):
        getattr(guide, ask)(NEW)


def test_rows_of_a_plate_are_posteriors_of_their_own(local):
    """z of each of six new rows, in closed form; the plate keeps a dimension of size 1."""
    x = images(6, seed=1)
    mean, covariance, evidence = truth_of_images(x)
    draws = local.sample(1_000, x)["z"]
    assert draws.shape == (6, 1_000, 1, 2)
    draws = draws[:, :, 0]
    for d in range(2):
        check_moments(draws[..., d], mean[:, d], covariance[d, d].sqrt())
    product = ((draws - mean[:, None]).prod(-1)).mean(1)
    assert ((product - covariance[0, 1]).abs() < 0.02).all()
    for estimate, value in zip(local.log_evidence(x), evidence, strict=True):
        assert abs(estimate.value - float(value)) < 4 * estimate.std_error + 1e-3
    assert local.sample(10, x[0])["z"].shape == (10, 1, 2)


@pytest.mark.slow
def test_sets_of_different_size():
    sets = [data_sets(1, seed=m, size=3 + m % 8)[0] for m in range(150)]
    guide = DiffusionGuide(
        conjugate, amortize="y", embedding=DeepSets(), recipe=BRIEF, max_seconds=30, progress=False
    ).fit(sets)
    new = [data_sets(1, seed=1_000 + m, size=m + 3)[0] for m in range(8)]
    draws = guide.sample(1_000, new)["mean"]
    for m, one in enumerate(new):
        mean, deviation, evidence = truth(one)
        check_moments(draws[m : m + 1], mean[None], deviation)
        assert abs(guide.log_evidence(one).value - float(evidence)) < 0.1
    with pytest.raises(ValueError, match=r"'y' holds a set of shape \(11,\): pass sets of 1 to 10 rows"):
        guide.sample(10, torch.zeros(11))


def straight(x, y):
    slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(slope * x, 0.5), obs=y)


@pytest.mark.slow
def test_several_things_named_are_passed_in_their_order(monkeypatch):
    shortened(monkeypatch, 400)
    x = torch.randn(100, 4)
    y = torch.randn(100, 1) * x + 0.5 * torch.randn(100, 4)
    guide = DiffusionGuide(straight, amortize=("x", "y"), recipe=BRIEF, progress=False).fit(x, y)
    precision = 1 + x[:5].square().sum(1) / 0.25
    draws = guide.sample(1_000, x[:5], y[:5])["slope"]
    check_moments(draws, (x[:5] * y[:5]).sum(1) / 0.25 / precision, precision**-0.5)
    with pytest.raises(ValueError, match=r"\('x', 'y'\) hold \[2, 3\] data sets"):
        guide.sample(10, x[:2], y[:3])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TBGuide", "PISGuide", "DBGuide", "SubTBGuide", "FLSubTBGuide", "VarGradGuide"])
def test_named_guides_are_amortized_too(name, monkeypatch):
    """Whatever the objective, E[w] is the evidence: four standard errors of 4 000 weights."""
    shortened(monkeypatch, 100)
    kind = getattr(amortized, name)
    own = kind.default_recipe
    recipe = replace(own, steps=4, batch=64, every=4, held_out=64, refinements=(1,), enough=2.0)
    recipe = replace(recipe, bridge_steps=min(4, own.bridge_steps))
    guide = kind(conjugate, amortize="y", recipe=recipe, progress=False).fit(FIT)
    assert len(guide.training_record.losses) == 4
    relative = (guide.log_weights(4_000, NEW) - truth(NEW)[2]).exp()
    assert ((relative.mean(0) - 1).abs() < 4 * relative.std(0) / math.sqrt(4_000)).all()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_draws(monkeypatch):
    shortened(monkeypatch, 20)
    draws = []
    for state in (1, 2):
        torch.manual_seed(state)
        guide = DiffusionGuide(conjugate, amortize="y", recipe=BRIEF, seed=3, progress=False, max_seconds=3_000).fit(
            FIT
        )
        draws.append(guide.sample(20, NEW)["mean"])
    assert torch.equal(*draws)


def test_a_guide_of_one_data_set_says_what_to_type():
    guide = DiffusionGuide(conjugate, recipe=BRIEF, progress=False)
    guide._setup_prototype(NEW[0])
    with pytest.raises(RuntimeError, match="amortize="):
        guide.calibrate()
    with pytest.raises(ValueError, match=r"1 data sets for a guide that was fitted to one: write .*amortize='y'"):
        guide.sample(10, NEW[0])
    with pytest.raises(ValueError, match="corection= is no option here, and this guide was fitted to one data set"):
        guide.sample(10, corection="none")


def test_a_guide_of_one_data_set_can_be_refined_too():
    guide = DiffusionGuide(conjugate, recipe=BRIEF, max_seconds=10, progress=False).fit(NEW[0])
    before, evidence = [weight.clone() for weight in guide.sampler.parameters()], guide.log_evidence()
    refined = guide.refine(seconds=0.5)
    mean, deviation, exact = truth(NEW[:1])
    check_moments(refined.sample(2_000)["mean"][None], mean, deviation)
    assert abs(refined.log_evidence().value - float(exact)) < 4 * refined.log_evidence().std_error + 1e-3
    assert guide.log_evidence() == evidence
    assert all(torch.equal(*pair) for pair in zip(before, guide.sampler.parameters(), strict=True))


@pytest.mark.parametrize("ask", ["sample", "log_evidence", "diagnose", "refine", "calibrate", "at"])
def test_nothing_comes_before_fit(ask):
    guide = DiffusionGuide(conjugate, amortize="y")
    with pytest.raises(RuntimeError, match=r"before fit: write guide.fit\(\*args\)"):
        getattr(guide, ask)(*([10] if ask in ("sample", "calibrate") else []))


def test_an_embedding_needs_a_context():
    with pytest.raises(ValueError, match="embedding= without a context to read: write amortize='y'"):
        DiffusionGuide(conjugate, embedding=DeepSets())


def test_the_seed_reaches_the_generator_and_the_target(monkeypatch: pytest.MonkeyPatch):
    given = {}

    def recorded(target, make_sampler, embedding, generator, *_):
        given["generator"] = generator
        raise InterruptedError

    def target(*args, seed, **_):
        given["seed"] = seed
        return SimpleNamespace(latents={}, rows=torch.zeros(1, 1))

    monkeypatch.setattr(many, "prepare_family", recorded)
    monkeypatch.setattr(many, "ConditionalTarget", target)
    options = Options(
        seed=5, progress=False, amortize="y", coordinates="centred"
    )  # the double has no density to choose by
    plan = Plan(options, "DiffusionGuide", GFlowNet, Recipe())
    with pytest.raises(InterruptedError):
        many.Many(conjugate, (data_sets(2),), {}, plan)
    assert given["generator"].initial_seed() == given["seed"] == 5
