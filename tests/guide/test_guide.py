"""The façade on models whose posterior is known in closed form, as a Pyro guide, and its errors."""

from __future__ import annotations

import math
import warnings
from functools import partial

import pandas
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.optim import Adam  # pyright: ignore[reportAttributeAccessIssue]

from amortized import DiffusionGuide, Recipe
from amortized.behaviours import OnPolicy
from amortized.objectives import TrajectoryBalance
from amortized.samplers import GFlowNet
from amortized.targets.pyro.trace import ModelError

QUICK = Recipe(bridge_steps=50, steps=50, every=50, held_out=256)
DATA = torch.tensor([1.0, 2.0, 3.0])


def conjugate(y, scale=0.5):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    pyro.deterministic("twice", 2 * mean)
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mean, scale), obs=y)


def conjugate_truth(y, scale=0.5):
    """Posterior mean and sd, and the log evidence: y ~ N(0, scale² I + 1 1ᵀ)."""
    precision = 1 + len(y) / scale**2
    covariance = scale**2 * torch.eye(len(y)) + torch.ones(len(y), len(y))
    evidence = dist.MultivariateNormal(torch.zeros(len(y)), covariance).log_prob(y)
    return float(y.sum() / scale**2 / precision), precision**-0.5, float(evidence)


def hierarchy(y):
    location = pyro.sample("location", dist.Normal(0.0, 2.0))
    pyro.sample("weights", dist.Dirichlet(torch.ones(3)))
    with pyro.plate("group", len(y)):
        effect = pyro.sample("effect", dist.Normal(location, 1.0))
        pyro.sample("pair", dist.Normal(torch.zeros(len(y), 2), 1.0).to_event(1))
        pyro.sample("y", dist.Normal(effect, 0.5), obs=y)


@pytest.fixture(autouse=True)
def clean_store():
    pyro.clear_param_store()
    yield
    pyro.clear_param_store()


@pytest.fixture(scope="module")
def fitted():
    return DiffusionGuide(conjugate, progress=False, recipe=QUICK).fit(DATA)


@pytest.fixture(scope="module")
def hierarchical():
    return DiffusionGuide(hierarchy, progress=False, recipe=QUICK).fit(DATA)


@pytest.mark.parametrize("correction", ["resample", "none", "mcmc"])
def test_draws_have_the_posterior_moments(fitted, correction):
    mean, sd, _ = conjugate_truth(DATA)
    draws = fitted.sample(4_000, correction=correction)
    assert draws["mean"].shape == draws["twice"].shape == (4_000,)
    assert torch.equal(draws["twice"], 2 * draws["mean"])
    # 4,000 resampled out of 6,000 paths: standard errors of at most sd/√2400 and sd/√4800; 4 of each
    assert abs(float(draws["mean"].mean()) - mean) < 4 * sd / math.sqrt(2_400)
    assert abs(float(draws["mean"].std()) / sd - 1) < 4 / math.sqrt(4_800)


def test_log_evidence_is_the_closed_form(fitted):
    estimate = fitted.log_evidence()
    assert abs(estimate.value - conjugate_truth(DATA)[2]) < 3 * estimate.std_error + 1e-4
    assert estimate.std_error < 0.02


def test_diagnosis_brackets_the_evidence_and_trusts_an_easy_posterior(fitted):
    diagnosis = fitted.diagnose()
    assert diagnosis.verdict == "trustworthy"
    assert diagnosis.elbo <= diagnosis.log_evidence.value <= diagnosis.eubo + 0.01
    assert "trustworthy" in str(diagnosis)


def test_median_and_quantiles(fitted):
    mean, sd, _ = conjugate_truth(DATA)
    assert abs(float(fitted.median()["mean"]) - mean) < 0.15 * sd
    low, high = fitted.quantiles([0.05, 0.95])["mean"]
    assert abs(float(low) - (mean - 1.645 * sd)) < 0.25 * sd and abs(float(high) - (mean + 1.645 * sd)) < 0.25 * sd


def test_the_same_seed_gives_the_same_draws():
    first, second = (
        DiffusionGuide(conjugate, seed=3, progress=False, recipe=QUICK).fit(DATA).sample(50)["mean"] for _ in range(2)
    )
    assert torch.equal(first, second)


def test_the_global_random_state_does_not_matter():
    draws = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        draws.append(DiffusionGuide(conjugate, progress=False, recipe=QUICK).fit(DATA).sample(50)["mean"])
    assert torch.equal(*draws)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(bridge_steps=0, steps=0, held_out=256),
        Recipe(
            bridge_steps=19,
            steps=19,
            held_out=256,
            objective=lambda dim: TrajectoryBalance(),
            behaviour=lambda _: OnPolicy(),
        ),
    ],
    ids=["no training", "trajectory balance on-policy"],
)
def test_a_recipe_of_other_parts(recipe):
    guide = DiffusionGuide(conjugate, progress=False, recipe=recipe).fit(DATA)
    estimate = guide.log_evidence()
    assert abs(estimate.value - conjugate_truth(DATA)[2]) < 4 * estimate.std_error + 1e-3


def test_fit_again_takes_the_new_data():
    guide = DiffusionGuide(conjugate, progress=False, recipe=QUICK).fit(DATA)
    other = DATA - 3.0
    mean, sd, _ = conjugate_truth(other)
    assert abs(float(guide.fit(other).sample(2_000)["mean"].mean()) - mean) < 0.15 * sd


def test_arviz_has_all_groups_and_the_record(hierarchical):
    data = hierarchical.to_arviz(num_samples=100)
    assert data.posterior["effect"].shape == (1, 100, 3)
    assert data.log_likelihood["y"].shape == (1, 100, 3)
    assert data.observed_data["y"].shape == (3,)
    assert data.sample_stats["lp"].shape == (1, 100)
    assert data.posterior.attrs["verdict"] == hierarchical.diagnose().verdict


def test_arviz_has_plates_as_dimensions(hierarchical):
    data = hierarchical.to_arviz(num_samples=20, coords={"group": ["a", "b", "c"]}, dims={"pair": ["group", "side"]})
    assert data.posterior["effect"].dims == data.prior["effect"].dims == ("chain", "draw", "group")
    assert data.posterior["pair"].dims == ("chain", "draw", "group", "side")
    assert data.log_likelihood["y"].dims == data.posterior_predictive["y"].dims == ("chain", "draw", "group")
    assert data.observed_data["y"].dims == ("group",)
    assert list(data.posterior["effect"].sel(group="b").shape) == [1, 20]
    assert data.posterior["weights"].dims[-1] == "weights_dim_0"


def test_a_summary_of_the_conjugate_posterior(fitted):
    mean, sd, _ = conjugate_truth(DATA)
    found = fitted.summary(num_samples=2_000)
    row = found["mean"]
    assert abs(row.mean - mean) < 5 * row.mcse and row.mcse < 2 * sd / math.sqrt(2_000)
    assert list(found.parts()) == ["", "functions of the sites above"] and "twice" in str(found)


def test_a_guide_shows_itself_and_computes_nothing(fitted, hierarchical):
    unfitted = DiffusionGuide(conjugate)
    assert "not yet: guide.fit(*args)" in repr(unfitted) and "guide.fit" in unfitted._repr_html_()
    calls = hierarchical.target.calls
    shown = [*map(repr, (hierarchical, hierarchical.at())), hierarchical._repr_html_(), hierarchical.at()._repr_html_()]
    assert all("effect (3,)" in text and len(text.split("\n")) <= 15 for text in shown)
    assert hierarchical.target.calls == calls
    found = fitted.diagnose()
    assert found.verdict in repr(fitted) and "<div" in fitted._repr_html_()
    assert len(repr(found).split("\n")) <= 15 and found.verdict.capitalize() in found._repr_html_()
    assert "\u2212" in fitted.log_evidence()._repr_html_()


def test_a_report_without_a_path_is_shown_inline(fitted):
    page = fitted.report(title="a <mean>")
    assert page._repr_html_().startswith("<iframe srcdoc=") and "<mean>" not in page._repr_html_()
    assert "a <mean>" in repr(page) and len(repr(page)) < 200


def test_trace_elbo_sees_the_samplers_own_bound(hierarchical):
    log_weight = hierarchical.log_weights(4_000)
    pyro.set_rng_seed(0)
    count = 2_000
    elbo = Trace_ELBO(num_particles=count, vectorize_particles=True, max_plate_nesting=1)
    bound = -elbo.loss(hierarchy, hierarchical, DATA)
    # two independent means of log weights with sd s over 4,000 and 2,000 paths: 4 standard errors of their difference
    error = float(log_weight.std()) * math.sqrt(1 / 4_000 + 1 / count)
    assert abs(bound - float(log_weight.mean())) < 4 * error


def test_vectorized_and_single_particles_agree(hierarchical):
    pyro.set_rng_seed(0)
    count = 40
    single = torch.tensor([-Trace_ELBO().loss(hierarchy, hierarchical, DATA) for _ in range(count)])
    elbo = Trace_ELBO(num_particles=1_000, vectorize_particles=True, max_plate_nesting=1)
    together = -elbo.loss(hierarchy, hierarchical, DATA)
    assert abs(float(single.mean()) - together) < 4 * float(single.std()) * math.sqrt(1 / count + 1 / 1_000)


def test_svi_sets_up_and_trains_an_unfitted_guide():
    pyro.set_rng_seed(0)
    guide = DiffusionGuide(hierarchy, progress=False, sampler=partial(GFlowNet, langevin=False))
    elbo = Trace_ELBO(num_particles=32, vectorize_particles=True, max_plate_nesting=1)
    before = elbo.loss(hierarchy, guide, DATA)
    with torch.no_grad():
        guide.sampler.policy.shift.bias.add_(0.5)
    svi = SVI(hierarchy, guide, Adam({"lr": 3e-3}), elbo)
    losses = torch.tensor([svi.step(DATA) for _ in range(100)])
    # the spoilt bias costs over a nat; a mean of 20 losses of 32 particles is known to better than 0.1
    assert losses[:5].mean() > before + 1.0
    assert losses[-20:].mean() < losses[:5].mean() - 1.0


@pytest.mark.parametrize("parallel", [False, True])
def test_predictive_draws_from_the_posterior(hierarchical, parallel):
    pyro.set_rng_seed(0)
    count = 400 if parallel else 30
    predicted = Predictive(hierarchy, guide=hierarchical, num_samples=count, parallel=parallel)(DATA)
    assert predicted["effect"].shape == (count, 3) and predicted["pair"].shape == (count, 3, 2)
    expected = hierarchical.sample(2_000, correction="none")["effect"]
    # 4 standard errors of a mean of `count` draws beside one of 2,000
    error = expected.std(0) * math.sqrt(1 / count + 1 / 2_000)
    assert bool(((predicted["effect"].mean(0) - expected.mean(0)).abs() < 4 * error).all())


def test_predictions_from_paths_are_warned_of_where_chains_give_the_draws():
    guide = DiffusionGuide(conjugate, progress=False, recipe=QUICK).fit(DATA)
    vars(guide.at())["chains"] = object()
    with pytest.warns(UserWarning, match="posterior_samples=guide.sample"):
        Predictive(conjugate, guide=guide, num_samples=1)(DATA)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SVI(conjugate, guide, Adam({"lr": 1e-4}), Trace_ELBO()).step(DATA)


def test_the_models_parameters_stay_as_they_are():
    def with_parameter(y):
        scale = pyro.param("scale", torch.tensor(0.5))
        conjugate(y, scale)

    guide = DiffusionGuide(with_parameter, progress=False, recipe=QUICK).fit(DATA)
    mean, sd, _ = conjugate_truth(DATA)
    assert abs(float(guide.sample(2_000)["mean"].mean()) - mean) < 0.15 * sd
    assert "scale" not in pyro.get_param_store()


def test_a_refit_that_fails_leaves_the_old_one_whole():
    guide = DiffusionGuide(conjugate, progress=False, recipe=QUICK).fit(DATA)
    evidence = guide.log_evidence()
    with pytest.raises(ModelError):
        guide.fit(torch.full((3,), float("nan")))
    mean, sd, _ = conjugate_truth(DATA)
    assert guide.log_evidence() == evidence
    assert abs(float(guide.sample(2_000)["mean"].mean()) - mean) < 0.15 * sd


def test_draws_after_svi_are_weighed_anew(fitted):
    guide = DiffusionGuide(conjugate, progress=False, recipe=QUICK)
    elbo = Trace_ELBO(num_particles=8, vectorize_particles=True, max_plate_nesting=1)
    SVI(conjugate, guide, Adam({"lr": 1e-3}), elbo).step(DATA)
    estimate = guide.log_evidence()
    assert abs(estimate.value - conjugate_truth(DATA)[2]) < 4 * estimate.std_error + 1e-3
    assert guide.sample(10)["mean"].shape == (10,)


def test_an_observed_python_number():
    def model(y):
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    guide = DiffusionGuide(model, progress=False, recipe=QUICK).fit(2.0)
    assert abs(float(guide.sample(2_000)["mean"].mean()) - 1.0) < 0.1


def test_an_observed_list():
    def model(y):
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(mean, 1.0).expand([2]).to_event(1), obs=y)

    with pytest.raises(ModelError, match=r"observed site 'y' is a tuple, not a tensor: type obs=torch.as_tensor"):
        DiffusionGuide(model, progress=False).fit((1.0, 2.0))


@pytest.mark.parametrize("data", [DATA.double().numpy(), pandas.Series(DATA.numpy()), DATA.tolist()])
def test_data_as_users_have_them(data):
    """The same draws as of the tensor, for the same seed; SVI's call of the guide takes them too."""
    guide = DiffusionGuide(conjugate, progress=False, recipe=QUICK)
    expected = DiffusionGuide(conjugate, progress=False, recipe=QUICK)
    guide._setup_prototype(data)
    expected._setup_prototype(DATA)
    assert torch.equal(guide.target.observations["y"], DATA)
    assert torch.equal(guide.log_weights(50), expected.log_weights(50))
    assert guide(data)["mean"].shape == ()


def test_a_posterior_without_a_maximum():
    def improper():
        pyro.sample("scale", dist.ImproperUniform(dist.constraints.positive, (), ()))
        pyro.sample("other", dist.Normal(0.0, 1.0))

    with pytest.raises(ValueError, match="improper; give every site a proper prior"):
        DiffusionGuide(improper, progress=False).fit()


@pytest.mark.parametrize("count", [0, -1, 2.5])
def test_a_number_of_draws_that_is_none(fitted, count):
    with pytest.raises(ValueError, match=rf"num_samples={count}: write a whole number"):
        fitted.sample(count)


def test_a_quantile_that_is_none(fitted):
    with pytest.raises(ValueError, match=r"quantiles=\[50\]: write levels between 0 and 1"):
        fitted.quantiles([50])


def test_no_time_at_all():
    with pytest.raises(ValueError, match="max_seconds=0: write a positive number"):
        DiffusionGuide(conjugate, max_seconds=0)
    with pytest.raises(TypeError, match="max_seconds='60': write a positive number of seconds"):
        DiffusionGuide(conjugate, max_seconds="60")  # type: ignore[arg-type]
    for seed in ("a", 1.5, None):
        with pytest.raises(TypeError, match=f"seed={seed!r}: write a whole number, for instance seed=0"):
            DiffusionGuide(conjugate, seed=seed)  # type: ignore[arg-type]


def test_moving_before_and_after_fit(fitted):
    with pytest.raises(ValueError, match="is not there"):
        DiffusionGuide(conjugate).to("cuda:99")
    assert DiffusionGuide(conjugate).to("cpu").device.type == "cpu"
    assert fitted.to("cpu") is fitted


@pytest.mark.parametrize("ask", ["sample", "draws"])
def test_sample_before_fit(ask):
    with pytest.raises(RuntimeError, match=r"before fit: write guide.fit\(\*args\)"):
        getattr(DiffusionGuide(conjugate), ask)(10)


@pytest.mark.parametrize("ask", ["log_evidence", "diagnose", "to_arviz", "median"])
def test_everything_else_before_fit(ask):
    with pytest.raises(RuntimeError, match="before fit"):
        getattr(DiffusionGuide(conjugate), ask)()


def test_unknown_correction(fitted):
    with pytest.raises(ValueError, match="correction='smooth': write one of 'best', 'resample', 'none', 'mcmc'"):
        fitted.sample(10, correction="smooth")


def test_a_device_that_is_not_there():
    with pytest.raises(ValueError, match=r"device 'cuda:99' is not there .* type device='cpu'"):
        DiffusionGuide(conjugate, device="cuda:99")


def test_arguments_of_another_structure(fitted):
    with pytest.raises(ValueError, match=r"argument 'y' .* shape \(2,\)"):
        fitted.fit(DATA[:2])


def test_a_model_without_latents():
    with pytest.raises(ModelError, match="no continuous latent site"):
        DiffusionGuide(lambda: pyro.sample("y", dist.Normal(0.0, 1.0), obs=torch.tensor(1.0)), progress=False).fit()


def test_data_with_nan():
    with pytest.raises(ModelError, match=r"'y'.*NaN|NaN.*'y'"):
        DiffusionGuide(conjugate, progress=False).fit(torch.tensor([1.0, float("nan")]))


def test_a_density_that_is_nowhere_finite():
    def impossible():
        pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.factor("never", torch.tensor(-float("inf")))

    with pytest.raises((ModelError, ValueError), match="never"):
        DiffusionGuide(impossible, progress=False).fit()


@pytest.mark.slow
def test_a_model_that_branches_on_a_value_falls_back_and_warns():
    def branching(y):
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        scale = 0.5 if mean > -100 else 1.0
        pyro.sample("y", dist.Normal(mean, scale).to_event(0).expand([3]).to_event(1), obs=y)

    with pytest.warns(UserWarning, match="one particle after the other"):
        guide = DiffusionGuide(branching, progress=False, max_seconds=10.0, recipe=QUICK).fit(DATA)
    mean, sd, _ = conjugate_truth(DATA)
    assert abs(float(guide.sample(200)["mean"].mean()) - mean) < 0.5 * sd


@pytest.mark.gpu
def test_the_main_job_on_a_gpu():
    guide = DiffusionGuide(conjugate, device="cuda", progress=False, recipe=QUICK).fit(DATA)
    mean, sd, evidence = conjugate_truth(DATA)
    draws = guide.sample(4_000)["mean"]
    assert draws.device.type == "cuda"
    assert abs(float(draws.mean()) - mean) < 4 * sd / math.sqrt(2_400)
    assert abs(guide.log_evidence().value - evidence) < 3 * guide.log_evidence().std_error + 1e-4


def test_a_report_is_one_page(fitted, tmp_path):
    path = fitted.report(tmp_path / "report.html", title="a mean", code="guide.fit(y)")
    page = path.read_text()
    assert "a mean" in page and "guide.fit(y)" in page and fitted.diagnose().verdict in page
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
