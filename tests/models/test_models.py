"""Every file in models/: pure Pyro, traceable with its data, and as true as it says.

Monte Carlo tolerances are 4.5 standard errors of the estimate itself: with the fixed seed they never flicker, and among
some hundred comparisons a correct model would fail for one seed in a thousand.
"""

import ast
import inspect
import math
import runpy
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer.util import torch_item
from scipy import integrate, stats
from torch import Tensor
from torch.distributions import biject_to

FILES = sorted((Path(__file__).parents[2] / "models").glob("*.py"))
MODELS: dict[str, dict[str, Any]] = {file.stem: runpy.run_path(str(file)) for file in FILES}
SAMPLED = [name for name, model in MODELS.items() if "sample" in model]
MULTIMODAL = [name for name, model in MODELS.items() if "MODE_WEIGHTS" in model]
UNNORMALIZED = ["eight_schools", "kidscore", "two_sensors", "many_well"]
OPTIONS = {"many_well": (4,), "log_gaussian_cox": (8,)}  # small variants, where the default is too large for a test
VARIANTS = [("funnel", (1.0,)), ("many_well", (2,)), ("gaussian_mixture_40", (5,))]
IMPROPER = ["kidscore", "many_well", "rosenbrock"]
STANDARD_ERRORS = 4.5
DRAWS = 16_000


class Unconstrained:
    """Density with gradient of a model in unconstrained space at exact draws, through Pyro's own trace alone."""

    def __init__(self, name: str, options: tuple = ()):
        self.model = MODELS[name]["model"]
        self.arguments = MODELS[name]["data"](*(options or OPTIONS.get(name, ())))
        draws = exact_draws(name, DRAWS, self.arguments)
        first = {name: value[0] for name, value in draws.items()}
        with poutine.block(), torch.no_grad():
            trace = poutine.trace(poutine.condition(self.model, data=first)).get_trace(*self.arguments)
        self.transforms = {
            name: biject_to(trace.nodes[name]["fn"].support)
            for name in first
            if not trace.nodes[name]["infer"].get("_deterministic")
        }
        self.draws = draws
        points = [transform.inv(draws[name]).reshape(DRAWS, -1) for name, transform in self.transforms.items()]
        self.x = torch.cat(points, dim=-1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density of one point ``(D,)``, the Jacobians of the transforms included."""
        sites, log_jacobian, start = {}, torch.zeros(()), 0
        for name, transform in self.transforms.items():
            shape = self.draws[name].shape[1:]
            raw = x[start : start + shape.numel()].reshape(shape)
            start += shape.numel()
            sites[name] = transform(raw)
            log_jacobian = log_jacobian + transform.log_abs_det_jacobian(raw, sites[name]).sum()
        trace = poutine.trace(poutine.condition(self.model, data=sites)).get_trace(*self.arguments)
        return trace.log_prob_sum() + log_jacobian

    def log_prob_and_score(self) -> tuple[Tensor, Tensor]:
        with pyro.validation_enabled(False):
            score, value = torch.func.vmap(torch.func.grad_and_value(self.log_prob))(self.x)
        return value, score


@cache
def evaluated(name: str, options: tuple = ()) -> tuple[Unconstrained, Tensor, Tensor]:
    """The model at its exact draws, its log density and score there: once for all tests that read them."""
    torch.manual_seed(0)
    target = Unconstrained(name, options)
    return target, *target.log_prob_and_score()


def exact_draws(name: str, count: int, arguments: tuple) -> dict[str, Tensor]:
    """Draws of a model; where its data have options, these come with the arguments."""
    has_options = bool(inspect.signature(MODELS[name]["data"]).parameters)
    return MODELS[name]["sample"](count, *arguments) if has_options else MODELS[name]["sample"](count)


def standard_error(values: Tensor) -> Tensor:
    return values.std(0) / math.sqrt(len(values))


def test_the_models_are_found():
    expected = {"eight_schools", "breast_cancer", "gaussian_mixture_25", "funnel", "kidscore", "two_sensors"}
    expected |= {"gaussian_mixture_9", "gaussian_mixture_40", "many_well", "log_gaussian_cox", "seeds"}
    assert expected | {"brownian_missing_middle"} <= set(MODELS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_imports_nothing_of_ours(file: Path):
    for node in ast.walk(ast.parse(file.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or "."] if isinstance(node, ast.ImportFrom) else []
        assert not [name for name in names if name.split(".")[0] not in {"math", "pathlib", "numpy", "pyro", "torch"}]


@pytest.mark.parametrize("name", MODELS)
def test_states_its_truth(name: str):
    model = MODELS[name]
    if model["LOG_EVIDENCE"] is not None:
        value, error = model["LOG_EVIDENCE"]
        assert math.isfinite(value) and error >= 0
    assert model["REFERENCE"] and isinstance(model["data"](), tuple)


@pytest.mark.parametrize("name", [name for name in MODELS if name not in IMPROPER])
def test_runs_under_a_trace_with_its_data(name: str):
    model = MODELS[name]
    trace = poutine.trace(model["model"]).get_trace(*model["data"](*OPTIONS.get(name, ())))
    assert math.isfinite(torch_item(trace.log_prob_sum()))


@pytest.mark.parametrize("name", IMPROPER)
def test_a_flat_prior_has_no_draws_but_a_density(name: str):
    model = MODELS[name]
    arguments = model["data"]()
    with pytest.raises(NotImplementedError):
        model["model"](*arguments)
    draw = {site: value[0] for site, value in exact_draws(name, 1, arguments).items()}
    trace = poutine.trace(poutine.condition(model["model"], data=draw)).get_trace(*arguments)
    assert math.isfinite(torch_item(trace.log_prob_sum()))


@pytest.mark.parametrize(("name", "options"), [(name, ()) for name in SAMPLED] + VARIANTS)
def test_exact_draws_satisfy_steins_identity(name: str, options: tuple):
    """E[score] = 0 and E[(x - m) · score] = -1 in every coordinate, for draws of the density itself and any m."""
    target, _, score = evaluated(name, options)
    virial = (target.x - target.x.median(0).values) * score + 1.0
    for values in (score, virial):
        assert torch.all(values.mean(0).abs() <= STANDARD_ERRORS * standard_error(values))


@pytest.mark.parametrize("name", UNNORMALIZED)
def test_log_evidence_agrees_with_reciprocal_importance_sampling(name: str):
    """1 / Z = E[q(x) / R(x)] over exact draws, q a Gaussian cut at its median radius, once round every mode."""
    model = MODELS[name]
    target, log_prob, _ = evaluated(name)
    labels = model["mode"](target.draws).reshape(DRAWS, -1) if "mode" in model else torch.zeros(DRAWS, 1)
    modes = labels.unique(dim=0, return_inverse=True)[1]
    evidence, evidence_error = (
        model["log_evidence"](*target.arguments) if "log_evidence" in model else model["LOG_EVIDENCE"]
    )
    for mode in modes.unique():
        x = target.x.double()
        chosen = x[modes == mode]
        mean, factor = chosen.mean(0), torch.linalg.cholesky(chosen.T.cov())
        standard = torch.linalg.solve_triangular(factor, (x - mean).T, upper=False).T
        squared = standard.square().sum(-1)
        inside = squared < stats.chi2(x.shape[1]).median()
        constant = math.log(2) - x.shape[1] / 2 * math.log(2 * math.pi) - factor.diagonal().log().sum()
        ratio = torch.where(inside, (constant - 0.5 * squared - log_prob + evidence).exp(), 0.0)
        tolerance = STANDARD_ERRORS * (standard_error(ratio).item() + evidence_error)
        assert abs(ratio.mean().item() - 1.0) <= tolerance
        assert tolerance < 0.35, "the estimate is too rough to be a test"


def test_the_rosenbrock_density_is_that_of_its_exact_draws_times_the_evidence():
    """Each coordinate is Gaussian given the one before it: log R - log Z is the sum of these log densities."""
    target, log_prob, _ = evaluated("rosenbrock")
    first, a, b, c, d = target.x.double().unbind(-1)
    noise = torch.stack([a - first**2, b - a**2, c - first**2, d - c**2])
    start, bend = torch.distributions.Normal(1.0, math.sqrt(10.0)), torch.distributions.Normal(0.0, math.sqrt(0.1))
    exact = start.log_prob(first) + bend.log_prob(noise).sum(0)
    # b and d reach 10⁴, where float32 rounds by 10⁻³, which the square of a bend makes .01
    assert torch.allclose(log_prob.double() - MODELS["rosenbrock"]["LOG_EVIDENCE"][0], exact, atol=0.05)


@pytest.mark.parametrize("name", MULTIMODAL)
def test_mode_weights(name: str):
    torch.manual_seed(0)
    model = MODELS[name]
    draws = exact_draws(name, DRAWS, model["data"]())
    extra = model["data"]() if name == "gaussian_mixture_40" else ()
    modes = model["mode"](draws, *extra).flatten()
    share = torch.bincount(modes, minlength=len(model["MODE_WEIGHTS"])) / len(modes)
    tolerance = STANDARD_ERRORS * (model["MODE_WEIGHTS"] * (1 - model["MODE_WEIGHTS"]) / len(modes)).sqrt()
    assert torch.all((share - model["MODE_WEIGHTS"]).abs() <= tolerance)
    assert model["MODE_WEIGHTS"].sum().item() == pytest.approx(1.0, abs=2e-4)


def test_eight_schools_by_a_two_dimensional_quadrature():
    """Over mu and tau, the schools independent given both: not the closed form that the file was computed with."""
    model = MODELS["eight_schools"]
    effect, standard_error = (tensor.double().numpy() for tensor in model["data"]())

    def density(mu: float, angle: float) -> float:
        scale = np.sqrt(standard_error**2 + (5.0 * math.tan(angle)) ** 2)
        return stats.norm.pdf(effect, mu, scale).prod() * stats.norm.pdf(mu, 0.0, 5.0) * 2 / math.pi

    mu, mu_weights = np.polynomial.legendre.leggauss(60)
    angle, angle_weights = np.polynomial.legendre.leggauss(60)
    total = sum(
        weight * other * density(40.0 * node, math.pi / 4 * (1 + second))
        for node, weight in zip(mu, mu_weights, strict=True)
        for second, other in zip(angle, angle_weights, strict=True)
    )
    assert math.log(total * 40.0 * math.pi / 4) == pytest.approx(model["LOG_EVIDENCE"][0], abs=1e-4)


def test_eight_schools_centred_has_the_same_evidence_and_posterior():
    """Both parametrizations have one joint density of theta once the Jacobian tau⁸ of theta = mu + tau z is counted."""
    model = MODELS["eight_schools"]
    draws = model["sample"](20)
    for index in range(20):
        draw = {name: value[index] for name, value in draws.items()}
        density = [
            poutine.trace(poutine.condition(model[which], data=draw)).get_trace(*model["data"]()).log_prob_sum()
            for which in ("model", "centred")
        ]
        assert (density[0] - 8 * draw["tau"].log()).item() == pytest.approx(density[1].item(), rel=1e-4)


def test_kidscore_by_quadrature_over_the_noise():
    """The Gaussian integral over beta in closed form at each noise, the noise by quadrature."""
    model = MODELS["kidscore"]
    columns, score = (tensor.double().numpy() for tensor in model["data"]())
    rows, width = columns.shape
    residual = ((score - columns @ np.linalg.lstsq(columns, score)[0]) ** 2).sum()
    log_determinant = np.linalg.slogdet(columns.T @ columns)[1]
    evidence = model["LOG_EVIDENCE"][0]

    def density(noise: float) -> float:
        gaussian = -(rows - width) * math.log(noise * math.sqrt(2 * math.pi)) - residual / (2 * noise**2)
        return math.exp(gaussian - 0.5 * log_determinant - evidence)

    assert integrate.quad(density, 10.0, 30.0)[0] == pytest.approx(1.0, abs=1e-4)


def test_kidscore_is_badly_scaled():
    spread = MODELS["kidscore"]["sample"](1_000)["beta"].std(0)
    assert spread.max() / spread.min() > 1e4


def test_breast_cancer_data_are_standardized():
    columns, benign = MODELS["breast_cancer"]["data"]()
    assert columns.shape == (569, 31) and benign.sum() == 357
    torch.testing.assert_close(columns[:, 1:].mean(0), torch.zeros(30), atol=1e-6, rtol=0)
    torch.testing.assert_close(columns[:, 1:].std(0, correction=0), torch.ones(30))


@pytest.mark.parametrize(
    ("name", "options"),
    [("many_well", (7,)), ("funnel", (0.0,)), ("gaussian_mixture_40", (0,)), ("log_gaussian_cox", (1,))],
)
def test_an_impossible_option_is_refused(name: str, options: tuple):
    with pytest.raises(ValueError, match=rf"got {options[0]}; write data\("):
        MODELS[name]["data"](*options)


def test_many_well_by_quadrature():
    """Simpson's rule on 8,001 points for the well; the second coordinate's integral is √(2π)."""
    model = MODELS["many_well"]
    x = np.linspace(-4.0, 4.0, 8_001)
    density = np.exp(-(x**4) + 6 * x**2 + x / 2)
    total = integrate.simpson(density, x=x)
    assert math.log(total * math.sqrt(2 * math.pi)) == pytest.approx(model["BLOCK_LOG_EVIDENCE"], abs=1e-9)
    right = integrate.simpson(density[4_000:], x=x[4_000:]) / total
    assert right == pytest.approx(model["MODE_WEIGHTS"][1].item(), abs=1e-7)
    assert model["log_evidence"](128)[0] == pytest.approx(658.7827, abs=1e-4)


def cox_prior(grid: int) -> torch.distributions.MultivariateNormal:
    """The field's prior, written with distances in cells."""
    cell = torch.arange(grid, dtype=torch.float64)
    position = torch.cartesian_prod(cell, cell)
    covariance = 1.91 * torch.exp(-torch.cdist(position, position) / (grid / 33))
    return torch.distributions.MultivariateNormal(covariance.new_full((grid**2,), math.log(126) - 1.91 / 2), covariance)


@pytest.mark.parametrize("grid", [7, 8])
def test_log_gaussian_cox_has_the_density_of_its_dense_covariance(grid: int):
    """Both forms, in float32: the field's own, and the whitened one, whose Jacobian is |K^{1/2}|."""
    model, prior = MODELS["log_gaussian_cox"], cox_prior(grid)
    noise = torch.randn(grid**2, generator=torch.Generator().manual_seed(0))
    whitened = poutine.trace(poutine.condition(model["model"], data={"noise": noise}))
    whitened = whitened.get_trace(*(arguments := model["data"](grid, True)))
    field = whitened.nodes["field"]["value"]
    plain = poutine.trace(poutine.condition(model["model"], data={"field": field})).get_trace(*model["data"](grid))
    count, precise = arguments[0], field.double()
    expected = prior.log_prob(precise) + (count * precise - precise.exp() / grid**2).sum()
    assert count.sum() == 126
    assert torch_item(plain.log_prob_sum()) == pytest.approx(expected.item(), rel=1e-5)
    jacobian = 0.5 * torch.logdet(prior.covariance_matrix).item()
    assert torch_item(whitened.log_prob_sum()) == pytest.approx(expected.item() + jacobian, rel=1e-5)


def test_log_gaussian_cox_by_importance_sampling_about_the_laplace_approximation():
    """A Student t of 20 degrees, 1.1 times as wide: effective draws 300 of 16,000, so 25 % is the tolerance."""
    model, prior = MODELS["log_gaussian_cox"], cox_prior(8)
    arguments = model["data"](8)
    count, precision = arguments[0].double(), prior.precision_matrix
    field = prior.mean
    for _ in range(20):
        rate = field.exp() / 64
        field = field + torch.linalg.solve(precision + rate.diag(), count - rate - precision @ (field - prior.mean))
    covariance = torch.linalg.inv(precision + (field.exp() / 64).diag()).numpy()
    proposal = stats.multivariate_t(field.numpy(), 1.1**2 * covariance, df=20, seed=0)
    points = proposal.rvs(DRAWS)
    draws = torch.tensor(points)
    likelihood = (count * draws - draws.exp() / 64).sum(-1)
    evidence, evidence_error = model["log_evidence"](*arguments)
    ratio = (prior.log_prob(draws) + likelihood - torch.tensor(proposal.logpdf(points)) - evidence).exp()
    tolerance = STANDARD_ERRORS * (standard_error(ratio).item() + evidence_error)
    assert abs(ratio.mean().item() - 1.0) <= tolerance < 0.35


def test_brownian_by_dense_covariances():
    """Gauss and Legendre's rule over both log scales in [-7, 1], the data's covariance inverted at every point."""
    model = MODELS["brownian_missing_middle"]
    step, observed = (tensor.double() for tensor in model["data"]())
    node, weight = (torch.tensor(part) for part in np.polynomial.legendre.leggauss(50))
    scale = torch.cartesian_prod(4.0 * node - 3.0, 4.0 * node - 3.0).exp()
    covariance = scale[:, :1, None].square() * (1 + torch.minimum(step[:, None], step))
    covariance = covariance + scale[:, 1:, None].square() * torch.eye(20)
    prior = torch.distributions.LogNormal(torch.zeros((), dtype=torch.float64), 2.0)
    density = torch.distributions.MultivariateNormal(torch.zeros_like(observed), covariance).log_prob(observed)
    density = density + (prior.log_prob(scale) + scale.log()).sum(-1)
    total = (density.exp() * 16 * torch.outer(weight, weight).flatten()).sum()
    assert total.log().item() == pytest.approx(model["LOG_EVIDENCE"][0], abs=1e-3)


def test_seeds_by_quadrature():
    """Log precision by the trapezoid rule, coefficients by Gauss and Hermite's about the fit without effects of plates,
    which are summed out on 21 points."""
    model = MODELS["seeds"]
    kind, extract, sown, germinated = (tensor.double() for tensor in model["data"]())
    columns = torch.stack([torch.ones_like(kind), kind, extract, kind * extract])
    mean = torch.zeros(4, dtype=torch.float64)
    for _ in range(10):
        chance = torch.sigmoid(mean @ columns)
        hessian = (columns * (sown * chance * (1 - chance))) @ columns.T
        mean = mean + torch.linalg.solve(hessian, columns @ (germinated - sown * chance))
    node, weight = (torch.tensor(part) for part in np.polynomial.hermite_e.hermegauss(5))
    standard = torch.cartesian_prod(*[node] * 4)
    log_weight = torch.cartesian_prod(*[weight.log()] * 4).sum(-1) + 0.5 * standard.square().sum(-1)
    factor = 1.5 * torch.linalg.cholesky(torch.linalg.inv(hessian))
    coefficients = mean + standard @ factor.T
    prior = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 10.0).log_prob(coefficients).sum(-1)
    log_weight = log_weight + prior + factor.diagonal().log().sum()
    effect = torch.linspace(-5.0, 5.0, 21, dtype=torch.float64)
    density = torch.distributions.Normal(torch.zeros((), dtype=torch.float64), 1.0).log_prob(effect) + math.log(0.5)
    totals = []
    for log_tau in torch.arange(-2.0, 7.6, 0.4, dtype=torch.float64):
        logits = (coefficients @ columns)[..., None] + effect * (-0.5 * log_tau).exp()
        likelihood = torch.distributions.Binomial(sown[:, None], logits=logits).log_prob(germinated[:, None])
        inner = (likelihood + density).logsumexp(-1).sum(-1)
        outer = stats.gamma.logpdf(log_tau.exp().item(), 0.01, scale=100.0) + log_tau + math.log(0.4)
        totals.append((inner + log_weight).logsumexp(0) + outer)
    assert torch.stack(totals).logsumexp(0).item() == pytest.approx(model["LOG_EVIDENCE"][0], abs=0.01)
