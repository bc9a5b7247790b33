"""Every feature program against Pyro's own potential or a density by hand; bad models, arguments and particles."""

import re
import warnings

import numpy as np
import pyro
import pyro.distributions as dist
import pyro.poutine as poutine
import pytest
import torch
from pyro.distributions import constraints
from pyro.infer.mcmc.util import initialize_model
from torch.utils import _pytree as pytree

from amortized.targets.pyro.arguments import call_with_tensors
from amortized.targets.pyro.batching import Plate
from amortized.targets.pyro.checks import loop_values, prior
from amortized.targets.pyro.program import Program
from amortized.targets.pyro.target import PyroTarget
from amortized.targets.pyro.trace import ModelError
from amortized.targets.troubles import OutsideSupport
from tests.targets import programs
from tests.targets.programs import PROGRAMS, Example

SINGLE_ONLY = {"pyro_module", "bayesian_network"}


def doubled(example: Example) -> Example:
    args, kwargs = pytree.tree_map_only(
        torch.Tensor,
        lambda value: value.double() if value.is_floating_point() else value,
        (example.args, example.kwargs),
    )
    return Example(example.model, args, kwargs, example.by_hand, example.batching)


def truth(example: Example, target: PyroTarget, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log density and gradient at one point, by hand or by Pyro."""
    x = x.clone().requires_grad_()
    if example.by_hand is not None:
        value = example.by_hand(x)
    else:
        with pyro.validation_enabled(False), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            args, kwargs = call_with_tensors(example.model, example.args, example.kwargs)
            _, potential, _, _ = initialize_model(example.model, args, kwargs)
            sites = {name: site.spread(x[site.slice]) for name, site in target.latents.items()}
            value = -potential(sites)
    (score,) = torch.autograd.grad(value, x)
    return value.detach(), score


def check(example: Example, tolerance: float) -> None:
    target = PyroTarget(example.model, example.args, example.kwargs)
    assert target.batching == example.batching
    generator = torch.Generator().manual_seed(1)
    x = (0.6 * torch.randn(3, target.dim, generator=generator, dtype=torch.float64)).to(target.dtype)
    value, score = target.log_prob_and_score(x)
    alone = target.log_prob(x)
    for row in range(len(x)):
        want_value, want_score = truth(example, target, x[row])
        scale = want_value.abs().clamp(min=1)
        assert (value[row] - want_value).abs() <= tolerance * scale
        assert (alone[row] - want_value).abs() <= tolerance * scale
        assert (score[row] - want_score).abs().max() <= tolerance * want_score.abs().max().clamp(min=1)
    back = target.unconstrain(target.constrain(x))
    assert (back - x).abs().max() <= 100 * tolerance


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name not in SINGLE_ONLY])
def test_density_and_gradient_are_exact_in_double_precision(name, in_double_precision):
    check(doubled(PROGRAMS[name]), 1e-10)


@pytest.mark.parametrize(
    "name", [*sorted(SINGLE_ONLY), "real", "simplex", "corr_matrix", "improper_regression", "ordered"]
)
def test_density_and_gradient_in_single_precision(name):
    check(PROGRAMS[name], 1e-5)


def build(name: str, **options) -> PyroTarget:
    example = PROGRAMS[name]
    return PyroTarget(example.model, example.args, example.kwargs, **options)


def test_there_are_forty_programs():
    assert len(PROGRAMS) >= 40


def test_the_log_determinants_of_unpack_complete_the_joint_density():
    target = build("dependent_support")
    x = torch.randn(4, 2, requires_grad=True)
    values, log_dets = target.unpack(x)
    rows = [{name: value[i] for name, value in values.items()} for i in range(4)]
    fixed = [pyro.condition(programs.dependent_support, row) for row in rows]
    joint = torch.stack([poutine.trace(model).get_trace().log_prob_sum() for model in fixed])
    total = joint + sum(log_dets.values())
    torch.testing.assert_close(total.detach(), target.log_prob(x.detach()))
    (gradient,) = torch.autograd.grad(total.sum(), x)
    torch.testing.assert_close(gradient, target.log_prob_and_score(x)[1])


def test_results_do_not_depend_on_the_size_of_the_batch():
    target = build("eight_schools_centred")
    x = torch.randn(5000, target.dim)
    value, score = target.log_prob_and_score(x)
    for size in (1, 2, 7, 300):
        some_value, some_score = target.log_prob_and_score(x[:size])
        torch.testing.assert_close(some_value, value[:size], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(some_score, score[:size], rtol=1e-5, atol=1e-5)
    assert target.calls == 5310


def test_dtype_is_the_models_own_and_x_may_have_any():
    single, double = build("real"), build("double_precision")
    assert (single.dtype, double.dtype) == (torch.float32, torch.float64)
    assert single.log_prob(torch.zeros(1, 1, dtype=torch.float64)).dtype == torch.float32
    value, score = double.log_prob_and_score(torch.zeros(1, 2, dtype=torch.float32))
    assert (value.dtype, score.dtype) == (torch.float64, torch.float64)
    assert double.constrain(torch.zeros(1, 2))["w"].dtype == torch.float64


def test_improper_priors_take_the_dtype_of_the_data():
    example = doubled(PROGRAMS["improper_regression"])
    assert PyroTarget(example.model, example.args).dtype == torch.float64


def test_log_prob_is_differentiable():
    target = build("eight_schools_centred")
    x = torch.randn(3, target.dim, requires_grad=True)
    (gradient,) = torch.autograd.grad(target.log_prob(x).sum(), x)
    torch.testing.assert_close(gradient, target.log_prob_and_score(x)[1])


def test_nothing_outside_is_disturbed():
    pyro.param("loc", torch.tensor(0.2))
    before = dict(pyro.get_param_store().get_state()["params"])
    state, validation = torch.get_rng_state(), pyro.settings.get("validate_distributions_pyro")
    torch_validation = torch.distributions.Distribution._validate_args
    for name in ("parameter", "pyro_module", "bayesian_network", "mixture_of_two"):
        target = build(name)
        x = torch.zeros(2, target.dim)
        target.log_prob_and_score(x)
        target.pointwise_log_likelihood(x)
        target.unconstrain(target.constrain(x))
    after = pyro.get_param_store().get_state()["params"]
    assert after.keys() == before.keys()
    assert all(after[name] is before[name] for name in before)
    assert torch.equal(state, torch.get_rng_state())
    assert pyro.settings.get("validate_distributions_pyro") == validation
    assert torch.distributions.Distribution._validate_args == torch_validation


def test_parameters_are_held_at_the_values_in_the_store():
    pyro.param("loc", torch.tensor(3.0))
    target = build("parameter")
    x = torch.zeros(1, 1)
    value = target.log_prob(x)
    expected = dist.Normal(3.0, 1.3).log_prob(torch.tensor(0.0)) + dist.Normal(0.0, 1.0).log_prob(programs.DATA).sum()
    torch.testing.assert_close(value[0], expected)
    pyro.get_param_store().clear()
    assert target.log_prob(x) == value
    assert target._batch.plain.log_prob(x) == value


def test_sites_of_constrain():
    target = build("deterministic")
    sites = target.constrain(torch.zeros(3, 2))
    assert {name: tuple(value.shape) for name, value in sites.items()} == {
        "mu": (3,),
        "log_scale": (3,),
        "scale": (3,),
        "doubled": (3, 4),
    }
    assert build("batch_of_simplices").constrain(torch.randn(2, 3))["p"].sum(-1).allclose(torch.ones(2, 3))


def test_latent_records():
    target = build("corr_cholesky")
    site = target.latents["factor"]
    assert (tuple(site.shape), tuple(site.unconstrained_shape), site.size) == ((3, 3), (3,), 3)
    assert site.support is constraints.corr_cholesky
    assert site.slice == slice(0, 3)
    assert list(build("awkward_names").latents) == ["lambda", "self"]


def test_observations_are_data_only():
    assert build("eight_schools_centred").observations["y"].equal(programs.DATA)
    assert build("deterministic").observations.keys() == {"y"}
    assert build("factor").observations == {}
    assert build("latent_as_observation").observations == {}
    assert build("conditioned_data").observations["y"].equal(programs.DATA)


def test_pointwise_log_likelihood():
    target = build("eight_schools_centred")
    x = torch.randn(3, target.dim)
    theta = target.constrain(x)["theta"]
    terms = target.pointwise_log_likelihood(x)
    assert terms.keys() == {"y"}
    torch.testing.assert_close(terms["y"], dist.Normal(theta, 2.0).log_prob(programs.DATA))
    assert build("mixture_of_two").pointwise_log_likelihood(torch.zeros(2, 3)) == {}
    assert build("latent_as_observation").pointwise_log_likelihood(x[:, :3])["steps"].shape == (3,)


def kernel_model(y):
    correlation = pyro.sample("correlation", dist.Normal(0.0, 1.0))
    covariance = torch.eye(2) + correlation * (1 - torch.eye(2))
    pyro.sample("y", dist.MultivariateNormal(torch.zeros(2), covariance_matrix=covariance), obs=y)


def test_a_cholesky_factor_that_fails_costs_one_particle():
    target = PyroTarget(kernel_model, (torch.ones(2),))
    x = torch.tensor([[0.0], [2.0], [0.5]])
    value, score = target.log_prob_and_score(x)
    assert target.batching == "vmap (captured)"
    assert value.isfinite().tolist() == [True, False, True]
    assert value[1] == -torch.inf and score[1] == 0 and target.nonfinite == 1
    torch.testing.assert_close(value[2], target.log_prob(x[2:])[0])
    assert target.constrain(x)["correlation"].tolist() == x[:, 0].tolist()


def test_an_exception_costs_one_particle():
    def model(y):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        system = torch.stack([torch.stack([x, x * 0]), torch.stack([x * 0, x])])
        pyro.sample("y", dist.Normal(torch.linalg.inv(system).sum(), 1.0), obs=y)

    target = PyroTarget(model, (torch.tensor(1.0),))
    value, _ = target.log_prob_and_score(torch.tensor([[1.0], [0.0], [2.0], [0.0], [-1.0]]))
    assert value.isfinite().tolist() == [True, False, True, False, True]


def test_a_model_that_branches_on_a_value_falls_back_and_warns():
    def branching(y):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        loc = x if x > 0 else 2 * x
        pyro.sample("y", dist.Normal(loc, 1.0), obs=y)

    with pytest.warns(
        UserWarning, match=r"one particle after the other.*ms.*vmap: it reads the value of.*torch\.where"
    ):
        target = PyroTarget(branching, (torch.tensor(1.0),))
    assert target.batching == "loop"
    x = torch.tensor([[1.0], [-1.0]])
    value, score = target.log_prob_and_score(x)
    expected = dist.Normal(0.0, 1.0).log_prob(x[:, 0]) + dist.Normal(torch.tensor([1.0, -2.0]), 1.0).log_prob(
        torch.tensor(1.0)
    )
    torch.testing.assert_close(value, expected)
    torch.testing.assert_close(score[:, 0], torch.tensor([-1.0, 1.0 + 2 * 3.0]))
    assert target.constrain(x)["x"].tolist() == [1.0, -1.0]
    assert target.unconstrain({"x": x[:, 0]}).equal(x)


def test_capture_is_given_up_when_time_is_up():
    target = build("eight_schools_centred", capture_seconds=0.0)
    assert target.batching == "vmap"
    x = torch.randn(4, target.dim)
    torch.testing.assert_close(target.log_prob(x), build("eight_schools_centred").log_prob(x))


def test_no_latent_sites():
    def model(y):
        pyro.sample("y", dist.Normal(0.0, 1.0), obs=y)

    with pytest.raises(ModelError, match=r"no continuous latent site.*'y'.*pyro\.sample\('x', dist\.Normal"):
        PyroTarget(model, (torch.tensor(1.0),))


def test_a_discrete_latent_without_enumeration():
    def model():
        rate = pyro.sample("rate", dist.Gamma(1.0, 1.0))
        pyro.sample("count", dist.Poisson(rate))

    with pytest.raises(ModelError, match=r"'count': Poisson.*GammaPoisson.*obs=value"):
        PyroTarget(model)


def test_a_support_without_bijection():
    def model():
        pyro.sample("axis", dist.ProjectedNormal(torch.ones(3)))

    with pytest.raises(ModelError, match=r"'axis'.*no bijection.*Sphere"):
        PyroTarget(model)


def test_a_density_that_is_finite_nowhere():
    def model(y):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Uniform(0.0, 1.0), obs=y + 1e-3 * x)

    with pytest.raises(ModelError, match=r"none of 64 dispersed starts.*'y' \(-inf\).*support of the likelihood"):
        PyroTarget(model, (torch.tensor(3.0),))


def test_data_with_nan():
    example = PROGRAMS["eight_schools_centred"]
    data = torch.tensor([0.3, torch.nan, torch.nan, 2.0])
    with pytest.raises(ModelError, match=r"'y': 2 of its 4 values are NaN.*nan_to_num.*poutine\.mask"):
        PyroTarget(example.model, (data,))


def test_a_plate_that_draws_its_rows():
    def model(y):
        mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
        with pyro.plate("rows", 4, subsample_size=2) as index:
            pyro.sample("y", dist.Normal(mu, 1.0), obs=y[index])

    with pytest.raises(ModelError, match=re.escape("'rows' draws 2 of 4 rows") + ".*without subsample_size"):
        PyroTarget(model, (programs.DATA,))


def test_a_random_density():
    def model():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.factor("noise", x * torch.randn(()))

    with pytest.raises(ModelError, match="density is random"):
        PyroTarget(model)


def comes(limit):
    def model(y):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        extra = pyro.sample("extra", dist.Normal(0.0, 1.0)) if x > limit else 0.0
        pyro.sample("y", dist.Normal(x.abs() + extra, 0.15), obs=y)

    return model


@pytest.mark.parametrize("limit", [1.0, -1.0])
@pytest.mark.filterwarnings("ignore:the log density of this model")
def test_latents_that_come_and_go_are_refused_when_the_target_is_built(limit):
    """Near 0, where the model is traced first, one limit leaves the site out and the other has it."""
    with pytest.raises(ModelError, match=r"set of latent sites depends on a value: site 'extra'.*torch\.where") as told:
        PyroTarget(comes(limit), (torch.tensor(1.5),))
    assert "Trace Shapes" not in str(told.value)


@pytest.mark.parametrize("limit", [60.0, -60.0])
@pytest.mark.filterwarnings("ignore:the log density of this model")
def test_latents_that_come_and_go_far_out_are_refused_where_they_do(limit, monkeypatch):
    """``constrain`` ends at the last latent that it knows, so it meets one that is missing, but none that comes later.

    A state reaches it after the density has met it, which refuses both.
    """
    monkeypatch.setattr(loop_values, "FAR", (10.0,))
    target = PyroTarget(comes(limit), (torch.tensor(1.5),))
    x = torch.zeros(5, target.dim)
    assert target.log_prob(x).isfinite().all()
    x[2, 0] = 1.5 * limit
    constrain = (target.constrain,) if limit < 0 else ()
    for asked in (target.log_prob, target.log_prob_and_score, target.unpack, *constrain):
        with pytest.raises(ModelError, match="site 'extra' (is sampled now|was sampled)"):
            asked(x)


def test_an_outer_plate_refuses_latents_that_come_and_go():
    program = Program(comes(1.0), (torch.tensor(1.5),), {}, build("real").structure)
    with pytest.raises(ModelError, match="set of latent sites depends on a value"):
        Plate(program).log_prob(torch.full((1, 1), 2.0))


def raising(error):
    def model(y):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        if x < -1:
            raise error
        pyro.sample("y", dist.Normal(x, 1.0), obs=y)

    return model


@pytest.mark.filterwarnings("ignore:the log density of this model")
def test_exceptions_of_the_users_own_are_counted_and_told_once(monkeypatch):
    monkeypatch.setattr(prior, "WITHIN", 100.0)
    with pytest.warns(UserWarning, match="raises in part of its space: ValueError at ") as told:
        target = PyroTarget(raising(ValueError("negative rate\nmore")), (torch.tensor(1.5),))
    assert [warning.filename for warning in told if "in part" in str(warning.message)] == [__file__]
    told = [str(warning.message) for warning in told if "in part" in str(warning.message)]
    found = re.search(r"at (\d+) \(\S+ %\) of 64 draws of its prior, “negative rate”\. Such.*OutsideSupport", told[0])
    assert len(told) == 1 and found is not None
    assert 3 <= int(found[1]) <= 18  # 16 % of 64 is 10.2, with a standard deviation of 2.9
    before = target.nonfinite
    assert target.log_prob(torch.tensor([[0.0], [-2.0], [-3.0]])).isfinite().tolist() == [True, False, False]
    assert target.nonfinite == before + 2 and "ValueError at" in target.troubles()[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert target.recheck(torch.randn(20, 1))


@pytest.mark.filterwarnings("ignore:the log density of this model")
def test_exceptions_that_the_prior_did_not_meet_are_told_after_the_warm_up():
    def model(y):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        if x < -200:
            raise RuntimeError("too cold")
        pyro.sample("y", dist.Normal(x, 1.0), obs=y)

    target = PyroTarget(model, (torch.tensor(1.5),))
    target.log_prob(torch.tensor([[0.0], [-300.0]]))
    with pytest.warns(UserWarning, match=r"RuntimeError at 1 \(50 %\) of 2 points of the warm-up, “too cold”"):
        target.recheck(torch.randn(20, 1))


@pytest.mark.filterwarnings("ignore:the log density of this model")
def test_a_model_that_says_where_its_density_is_zero_is_believed():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "the model raises")
        target = PyroTarget(raising(OutsideSupport("negative rate")), (torch.tensor(1.5),))
        target.recheck(torch.randn(20, 1))
    value, score = target.log_prob_and_score(torch.tensor([[0.0], [-2.0]]))
    assert value[0].isfinite() and value[1] == -torch.inf and score[1] == 0
    assert target.troubles() == [] and target.nonfinite == 0


def test_a_gradient_that_is_nan_where_the_density_is_not():
    """``torch.where`` hides the NaN of √x for x < 0 from the value and not from the gradient."""

    def model(y):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(torch.where(x > 0, x.sqrt(), 0 * x), 1.0), obs=y)

    target = PyroTarget(model, (torch.tensor(0.5),))
    x = torch.tensor([[-1.0], [1.0]])
    want = -0.5 * x[:, 0].square() - 0.5 * torch.tensor([0.25, 0.25]) - 1.8378771
    value, score = target.log_prob_and_score(x)
    torch.testing.assert_close(value, want)
    torch.testing.assert_close(target.log_prob(x), want)
    assert score[:, 0].tolist() == [0.0, -1.25]
    assert target.troubles() == [
        "a finite log density without finite gradient at 1 (25 %) of 4 points, first at site 'y'"
    ]


def test_a_density_that_is_nan_names_its_site():
    def model(y):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x.sqrt(), 1.0), obs=y)

    target = PyroTarget(model, (torch.tensor(0.5),))
    target.log_prob(torch.tensor([[-1.0], [1.0]]))
    assert target.troubles() == ["a log density of NaN at 1 (50 %) of 2 points, first at site 'y'"]


def test_a_matrix_that_cannot_be_factored_is_counted_and_no_exception_of_the_users():
    target = PyroTarget(kernel_model, (torch.ones(2),))
    target.log_prob(torch.tensor([[0.0], [2.0]]))
    (told,) = target.troubles()
    assert told.startswith("a log density of NaN at 1 (50 %) of 2 points, first where a plain run raises LinAlgError")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        target.recheck(torch.zeros(4, 1))


def test_a_latent_in_numpy_is_named_with_what_to_write():
    def model():
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.factor("f", -torch.as_tensor(np.exp(x)))

    with pytest.raises(ModelError, match=r"hands a latent to numpy: write torch's function instead"):
        PyroTarget(model)


def test_missing_values_for_unconstrain():
    with pytest.raises(ValueError, match="no values for latent sites \\['tau', 'theta'\\]"):
        build("eight_schools_centred").unconstrain({"mu": torch.zeros(1)})


def test_arguments_of_another_structure():
    target = build("eight_schools_centred")
    target.check_arguments((torch.zeros(4),), {})
    with pytest.raises(ValueError, match=r"'y' is a float32 tensor of shape \(3,\).*\(4,\).*new target"):
        target.check_arguments((torch.zeros(3),), {})


@pytest.mark.gpu
def test_a_model_on_the_gpu():
    data = programs.DATA.cuda()
    target = PyroTarget(programs.eight_schools_centred, (data,))
    on_cpu = build("eight_schools_centred")
    assert target.device.type == "cuda" and target.batching == "vmap (captured)"
    x = torch.randn(64, target.dim)
    for got, want in zip(target.log_prob_and_score(x), on_cpu.log_prob_and_score(x), strict=True):
        torch.testing.assert_close(got.cpu(), want, rtol=1e-4, atol=1e-4)


def test_no_particles_at_all():
    target = build("eight_schools_centred")
    value, score = target.log_prob_and_score(torch.zeros(0, target.dim))
    assert value.shape == (0,) and score.shape == (0, target.dim)


def test_a_target_again_is_the_same_density_with_counts_of_its_own():
    first = build("real")
    x = torch.randn(5, first.dim, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    values = first.log_prob(x)
    twin = first.again()
    assert (first.calls, twin.calls, twin.batching) == (5, 0, first.batching)
    assert torch.equal(twin.log_prob(x), values)
    far = torch.full((2, first.dim), torch.nan)
    twin.log_prob(far)
    assert (first.calls, first.nonfinite, twin.calls, twin.nonfinite) == (5, 0, 7, 2)


def test_a_model_that_has_changed_since_is_told_from_one_that_has_not():
    settings = {"scale": 1.0}

    def model(y):
        if settings["scale"] < 0:
            raise TypeError("no such scale")
        x = pyro.sample("x", dist.Normal(0.0, settings["scale"]))
        pyro.sample("y", dist.Normal(x, 1.0), obs=y)

    data = torch.tensor([0.5, 1.5])
    target = PyroTarget(model, (data,))
    assert target.difference_from_model() is None
    data += 1.0
    found = target.difference_from_model()
    assert found is not None and re.match(r"the log density at one point was -\S+ and is -\S+", found)
    data -= 1.0
    assert target.difference_from_model() is None
    settings["scale"] = 2.0
    assert target.difference_from_model()
    settings["scale"] = -1.0
    assert target.difference_from_model() == "it raises TypeError: no such scale"


def test_a_look_at_the_model_takes_no_more_than_a_twentieth_of_the_time(monkeypatch):
    def model(y):
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(x, 1.0), obs=y)

    data, clock, looks = torch.tensor([0.5, 1.5]), [0.0], []
    target = PyroTarget(model, (data,))
    monkeypatch.setattr("amortized.targets.pyro.target.time.perf_counter", lambda: clock[0])

    def look():
        looks.append(clock[0])
        clock[0] += 0.1

    monkeypatch.setattr(target, "difference_from_model", look)
    for second in range(11):
        clock[0] = max(clock[0], float(second))
        target.check_unchanged()
    assert looks == [0.0, 3.0, 6.0, 9.0]
    monkeypatch.undo()
    target.check_unchanged()
    data += 1.0
    for _ in range(2):
        target._next_look = 0.0
        with pytest.raises(RuntimeError, match=r"has changed since the fit \(.*\): write guide.fit\(\*args\)"):
            target.check_unchanged()


def test_a_slow_model_is_compared_at_one_point():
    target = build("eight_schools_centred")
    few = target._reference.at_most(0.0)
    assert len(few.x) == len(few.value) == len(few.score_noise) == 1 and bool((few.x != 0).any())
    assert target._reference.at_most(1e9) is target._reference
