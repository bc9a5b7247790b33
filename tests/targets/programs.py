"""Small Pyro programs, one for each feature that a target must support; densities by hand where Pyro has none.

``PROGRAMS[name]`` is an ``Example``; ``by_hand(x: (D,))``, where given, is the log density in unconstrained space,
Jacobians included, of models on which Pyro's own ``initialize_model`` raises or is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyro
import pyro.distributions as dist
import pyro.poutine as poutine
import torch
from pyro.distributions import constraints
from pyro.distributions.transforms import AffineTransform, OrderedTransform, SoftplusTransform
from pyro.infer.reparam import LocScaleReparam, TransformReparam
from pyro.nn import PyroModule, PyroParam, PyroSample

Tensor = torch.Tensor


@dataclass(frozen=True)
class Example:
    """A model with its arguments; ``batching`` is the way of evaluation that it must reach."""

    model: Callable
    args: tuple = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    by_hand: Callable[[Tensor], Tensor] | None = None
    batching: str = "vmap (captured)"


PROGRAMS: dict[str, Example] = {}


def program(*args: Any, by_hand: Callable[[Tensor], Tensor] | None = None, batching: str = "vmap (captured)", **kwargs):
    """Enters the decorated model into ``PROGRAMS`` under its own name, with its arguments."""

    def enter(model: Callable) -> Callable:
        PROGRAMS[model.__name__] = Example(model, args, kwargs, by_hand, batching)
        return model

    return enter


def enter(name: str, model: Callable, *args: Any, **kwargs: Any) -> None:
    PROGRAMS[name] = Example(model, args, kwargs)


DATA = torch.tensor([0.3, -1.2, 0.8, 2.1])
COUNTS = torch.tensor([1.0, 0.0, 3.0, 2.0])
FEATURES = torch.tensor([[1.0, 0.5], [1.0, -1.0], [1.0, 2.0], [1.0, 0.1]])
LABELS = torch.tensor([1.0, 0.0, 1.0, 0.0])


# Supports


@program(DATA)
def real(y):
    mu = pyro.sample("mu", dist.Normal(0.0, 2.0))
    pyro.sample("y", dist.Normal(mu, 1.0).expand([4]).to_event(1), obs=y)


@program(DATA)
def positive(y):
    scale = pyro.sample("scale", dist.LogNormal(0.0, 1.0))
    rate = pyro.sample("rate", dist.Gamma(2.0, 1.0))
    with pyro.plate("rows", 4):
        pyro.sample("y", dist.Normal(0.0, scale / rate), obs=y)


@program(DATA)
def nonnegative(y):
    width = pyro.sample("width", dist.HalfCauchy(2.0))
    gap = pyro.sample("gap", dist.Exponential(1.5))
    with pyro.plate("rows", 4):
        pyro.sample("y", dist.StudentT(4.0, gap, width), obs=y)


@program(LABELS)
def unit_interval(y):
    p = pyro.sample("p", dist.Beta(2.0, 3.0))
    with pyro.plate("rows", 4):
        pyro.sample("y", dist.Bernoulli(p), obs=y)


@program(DATA)
def interval(y):
    centre = pyro.sample("centre", dist.Uniform(-2.0, 3.0))
    with pyro.plate("rows", 4):
        pyro.sample("y", dist.Laplace(centre, 1.0), obs=y)


@program()
def greater_than():
    x = pyro.sample("x", dist.Pareto(1.5, 3.0))
    pyro.sample("y", dist.Normal(x, 1.0), obs=torch.tensor(2.5))


def less_than_by_hand(x):
    value = 1.0 - x.exp()
    return dist.Normal(value, 0.5).log_prob(torch.tensor(0.2)).sum() + x.sum()


@program(by_hand=less_than_by_hand)
def less_than():
    x = pyro.sample("x", dist.ImproperUniform(constraints.less_than(1.0), (), ()))
    pyro.sample("y", dist.Normal(x, 0.5), obs=torch.tensor(0.2))


@program(torch.tensor([0.3, -0.2]))
def circular(angles):
    loc = pyro.sample("loc", dist.VonMises(0.1, 2.0))
    with pyro.plate("angles", 2):
        pyro.sample("angle", dist.VonMises(loc, 3.0), obs=angles)


@program(COUNTS)
def simplex(counts):
    p = pyro.sample("p", dist.Dirichlet(torch.tensor([1.0, 2.0, 0.5, 1.5])))
    pyro.sample("y", dist.Multinomial(probs=p), obs=counts)


@program()
def batch_of_simplices():
    with pyro.plate("rows", 3):
        p = pyro.sample("p", dist.Dirichlet(torch.tensor([1.0, 2.0])))
        pyro.sample("y", dist.Categorical(p), obs=torch.tensor([0, 1, 1]))


@program()
def ordered():
    cuts = pyro.sample("cuts", dist.TransformedDistribution(dist.Normal(0.0, 1.0).expand([3]), [OrderedTransform()]))
    pyro.sample("y", dist.OrderedLogistic(torch.tensor([0.3, -0.4]), cuts).to_event(1), obs=torch.tensor([1, 3]))


def improper_ordered_by_hand(x):
    values = torch.stack([x[0], x[0] + x[1].exp()])
    return dist.Normal(values, 1.0).log_prob(torch.tensor([0.0, 1.0])).sum() + x[1]


@program(by_hand=improper_ordered_by_hand)
def improper_ordered():
    cuts = pyro.sample("cuts", dist.ImproperUniform(constraints.ordered_vector, (), (2,)))
    pyro.sample("y", dist.Normal(cuts, 1.0).to_event(1), obs=torch.tensor([0.0, 1.0]))


def positive_ordered_by_hand(x):
    logs = torch.stack([x[0], x[0] + x[1].exp()])
    return dist.Normal(logs.exp(), 1.0).log_prob(torch.tensor([0.5, 4.0])).sum() + x[1] + logs.sum()


@program(by_hand=positive_ordered_by_hand)
def positive_ordered():
    cuts = pyro.sample("cuts", dist.ImproperUniform(constraints.positive_ordered_vector, (), (2,)))
    pyro.sample("y", dist.Normal(cuts, 1.0).to_event(1), obs=torch.tensor([0.5, 4.0]))


@program(DATA[:3])
def corr_cholesky(y):
    factor = pyro.sample("factor", dist.LKJCholesky(3, 2.0))
    pyro.sample("y", dist.MultivariateNormal(torch.zeros(3), scale_tril=factor), obs=y)


@program(DATA[:3])
def corr_matrix(y):
    matrix = pyro.sample("matrix", dist.LKJ(3, 1.5))
    pyro.sample("y", dist.MultivariateNormal(torch.zeros(3), covariance_matrix=matrix + 0.1 * torch.eye(3)), obs=y)


def lower_cholesky_by_hand(x):
    zero = x.new_zeros(())
    factor = torch.stack([torch.stack([x[0].exp(), zero]), torch.stack([x[1], x[2].exp()])])
    y = DATA[:2].to(x)
    residual = torch.linalg.solve_triangular(factor, y[:, None], upper=False)[:, 0]
    likelihood = -0.5 * residual.square().sum() - math.log(2 * math.pi) - x[0] - x[2]
    return likelihood - 0.5 * factor.square().sum() + x[0] + x[2]


@program(DATA[:2], by_hand=lower_cholesky_by_hand)
def lower_cholesky(y):
    factor = pyro.sample("factor", dist.ImproperUniform(constraints.lower_cholesky, (), (2, 2)))
    pyro.factor("prior", -0.5 * factor.square().sum())
    pyro.sample("y", dist.MultivariateNormal(torch.zeros(2), scale_tril=factor), obs=y)


def positive_definite_by_hand(x):
    zero = x.new_zeros(())
    factor = torch.stack([torch.stack([x[0].exp(), zero]), torch.stack([x[1], x[2].exp()])])
    matrix = factor @ factor.T
    log_det = 2 * (x[0] + x[2])
    wishart = (
        0.5 * (4.0 - 3) * log_det
        - 0.5 * matrix.trace()
        - 4.0 * math.log(2)
        - torch.special.multigammaln(torch.tensor(2.0, dtype=x.dtype), 2)
    )
    jacobian = 2 * math.log(2) + 3 * x[0] + 2 * x[2]
    return wishart + jacobian - 0.5 * (matrix[0, 1] - 0.3) ** 2 - 0.5 * math.log(2 * math.pi)


@program(by_hand=positive_definite_by_hand)
def positive_definite():
    matrix = pyro.sample("matrix", dist.Wishart(torch.tensor(4.0), torch.eye(2)))
    pyro.sample("y", dist.Normal(matrix[0, 1], 1.0), obs=torch.tensor(0.3))


def unit_lower_cholesky_by_hand(x):
    return (dist.Normal(x, 1.0).log_prob(torch.tensor(0.5)) - 0.5 * x.square()).sum()


@program(by_hand=unit_lower_cholesky_by_hand)
def unit_lower_cholesky():
    factor = pyro.sample("factor", dist.ImproperUniform(constraints.unit_lower_cholesky, (), (2, 2)))
    pyro.factor("prior", -0.5 * factor[1, 0] ** 2)
    pyro.sample("y", dist.Normal(factor[1, 0], 1.0), obs=torch.tensor(0.5))


@program()
def real_vector():
    covariance = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
    z = pyro.sample("z", dist.MultivariateNormal(torch.ones(2), covariance_matrix=covariance))
    pyro.sample("y", dist.Normal(z.prod(), 1.0), obs=torch.tensor(0.4))


@program()
def real_matrix():
    z = pyro.sample("z", dist.Normal(torch.zeros(2, 3), 1.0).to_event(2))
    pyro.sample("y", dist.Normal(z.sum(-1), 1.0).to_event(1), obs=torch.tensor([0.4, 1.0]))


@program()
def softplus_positive():
    scale = pyro.sample("scale", dist.TransformedDistribution(dist.Normal(0.0, 1.0), [SoftplusTransform()]))
    pyro.sample("y", dist.Normal(0.0, scale), obs=torch.tensor(0.4))


def stacked_by_hand(x):
    value = torch.stack([x[0], x[1].exp()])
    return dist.Normal(value, 1.0).log_prob(torch.tensor([0.4, 1.0])).sum() + x[1]


@program(by_hand=stacked_by_hand)
def stacked():
    support = constraints.stack([constraints.real, constraints.positive], 0)
    z = pyro.sample("z", dist.ImproperUniform(support, (), (2,)))
    pyro.sample("y", dist.Normal(z, 1.0).to_event(1), obs=torch.tensor([0.4, 1.0]))


def dependent_support_by_hand(x):
    top, share = x[0].exp(), x[1].sigmoid()
    log_det = x[0] + (top * share * (1 - share)).log()
    value = top * share
    likelihood = dist.Normal(value, 0.3).log_prob(torch.tensor(0.7))
    return dist.Gamma(2.0, 1.0).log_prob(top) - top.log() + likelihood + log_det


@program(by_hand=dependent_support_by_hand)
def dependent_support():
    top = pyro.sample("top", dist.Gamma(2.0, 1.0))
    x = pyro.sample("x", dist.Uniform(0.0, top))
    pyro.sample("y", dist.Normal(x, 0.3), obs=torch.tensor(0.7))


@program()
def affine_of_unit_interval():
    stretched = dist.TransformedDistribution(dist.Beta(2.0, 2.0), [AffineTransform(-1.0, 4.0)])
    x = pyro.sample("x", stretched)
    pyro.sample("y", dist.Normal(x, 1.0), obs=torch.tensor(0.4))


# Flat priors


def improper_regression_by_hand(x):
    w, log_scale = x[:2], x[2]
    y = DATA.to(x)
    return dist.Normal(FEATURES.to(x) @ w, log_scale.exp()).log_prob(y).sum() + log_scale


@program(FEATURES, DATA, by_hand=improper_regression_by_hand)
def improper_regression(features, y):
    w = pyro.sample("w", dist.ImproperUniform(constraints.real, (), (2,)))
    scale = pyro.sample("scale", dist.ImproperUniform(constraints.positive, (), ()))
    with pyro.plate("rows", 4):
        pyro.sample("y", dist.Normal(features @ w, scale), obs=y)


def improper_vector_by_hand(x):
    return dist.Normal(x.exp(), 1.0).log_prob(DATA.to(x)).sum() + x.sum()


@program(DATA, by_hand=improper_vector_by_hand)
def improper_positive_vector(y):
    scales = pyro.sample("scales", dist.ImproperUniform(constraints.positive, (), (4,)))
    pyro.sample("y", dist.Normal(scales, 1.0).to_event(1), obs=y)


@program(DATA)
def masked_prior(y):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0).mask(False))
    with pyro.plate("rows", 4):
        pyro.sample("y", dist.Normal(mu, 1.0), obs=y)


@program(DATA)
def prior_cancelled_by_factor(y):
    prior = dist.Normal(0.0, 1.0)
    mu = pyro.sample("mu", prior)
    pyro.factor("flat", -prior.log_prob(mu))
    with pyro.plate("rows", 4):
        pyro.sample("y", dist.Normal(mu, 1.0), obs=y)


# Statements other than sample


@program()
def factor():
    x = pyro.sample("x", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    pyro.factor("banana", -0.5 * (x[1] - x[0] ** 2) ** 2 / 0.1)


@program(DATA)
def deterministic(y):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    log_scale = pyro.sample("log_scale", dist.Normal(0.0, 1.0))
    scale = pyro.deterministic("scale", log_scale.exp())
    with pyro.plate("rows", 4):
        doubled = pyro.deterministic("doubled", 2 * mu * torch.ones(4))
        pyro.sample("y", dist.Normal(doubled, scale), obs=y)


@program(DATA)
def parameter(y):
    loc = pyro.param("loc", torch.tensor(0.7))
    scale = pyro.param("scale", torch.tensor(1.3), constraint=constraints.positive)
    mu = pyro.sample("mu", dist.Normal(loc, scale))
    with pyro.plate("rows", 4):
        pyro.sample("y", dist.Normal(mu, 1.0), obs=y)


# Plates


@program(DATA)
def eight_schools_centred(y):
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("schools", 4):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("y", dist.Normal(theta, 2.0), obs=y)


@program(torch.arange(6.0).reshape(2, 3))
def nested_plates(y):
    rows, columns = pyro.plate("rows", 2, dim=-2), pyro.plate("columns", 3, dim=-1)
    with rows:
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
    with columns:
        b = pyro.sample("b", dist.Normal(0.0, 1.0))
    with rows, columns:
        c = pyro.sample("c", dist.Gamma(2.0, 2.0))
        pyro.sample("y", dist.Normal(a + b, c), obs=y)


@program(DATA)
def sequential_plate(y):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    for i in pyro.plate("rows", 4):
        z = pyro.sample(f"z_{i}", dist.Normal(mu, 1.0))
        pyro.sample(f"y_{i}", dist.Normal(z, 1.0), obs=y[i])


@program(DATA)
def full_size_subsample(y):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", 4, subsample_size=4) as index:
        pyro.sample("y", dist.Normal(mu, 1.0), obs=y[index])


@program(DATA)
def given_subsample(y):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", 40, subsample=torch.arange(4)):
        pyro.sample("y", dist.Normal(mu, 1.0), obs=y)


@program(torch.arange(6.0).reshape(2, 3))
def batch_without_plate(y):
    x = pyro.sample("x", dist.Normal(torch.zeros(2, 3), 1.0))
    pyro.sample("y", dist.Normal(x * x, 1.0), obs=y)


# Handlers on the model


enter("conditioned_effect", poutine.condition(eight_schools_centred, {"mu": torch.tensor(1.0)}), DATA)
enter("masked_model", poutine.mask(eight_schools_centred, mask=torch.tensor([True, False, True, True])), DATA)
enter("scaled_model", poutine.scale(eight_schools_centred, scale=0.3), DATA)
enter("reparametrised", poutine.reparam(eight_schools_centred, {"theta": LocScaleReparam(0.0)}), DATA)
enter("partly_centred", poutine.reparam(eight_schools_centred, {"theta": LocScaleReparam(0.4)}), DATA)
enter("transform_reparam", poutine.reparam(affine_of_unit_interval, {"x": TransformReparam()}))
enter("lifted_parameter", poutine.lift(parameter, prior={"loc": dist.Normal(0.0, 1.0)}), DATA)


@program(DATA)
def masked_and_scaled_inside(y):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", 4), poutine.scale(scale=2.5), poutine.mask(mask=torch.tensor([True, True, False, True])):
        z = pyro.sample("z", dist.Normal(mu, 1.0))
        pyro.sample("y", dist.Normal(z, 1.0), obs=y)


def unobserved(y=None):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", 4):
        pyro.sample("y", dist.Normal(mu, 1.0), obs=y)


enter("conditioned_data", pyro.condition(unobserved, {"y": DATA}))
enter("keyword_data", unobserved, y=DATA)


@program(DATA)
def partly_observed(y):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", 4):
        known = torch.tensor([True, False, True, True])
        pyro.sample("y", dist.Normal(mu, 1.0), obs=y, obs_mask=known)


# Modules


class Regression(PyroModule):
    def __init__(self):
        super().__init__()
        self.weight = PyroSample(dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        self.noise = PyroSample(lambda self: dist.HalfNormal(self.width))
        self.width = PyroParam(torch.tensor(1.5), constraints.positive)

    def forward(self, features, y):
        mean, noise = features @ self.weight, self.noise
        with pyro.plate("rows", len(features)):
            return pyro.sample("y", dist.Normal(mean, noise), obs=y)


class Network(PyroModule):
    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.hidden = PyroModule[torch.nn.Linear](2, 3)
            self.out = torch.nn.Linear(3, 1)
        self.hidden.weight = PyroSample(dist.Normal(0.0, 1.0).expand([3, 2]).to_event(2))
        self.hidden.bias = PyroSample(dist.Normal(0.0, 1.0).expand([3]).to_event(1))

    def forward(self, features, y):
        mean = self.out(torch.tanh(self.hidden(features)))[..., 0]
        with pyro.plate("rows", len(features)):
            return pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


enter("pyro_module", Regression(), FEATURES, DATA)
enter("bayesian_network", Network(), FEATURES, DATA)


# Finite discrete latents


@program(DATA)
def mixture_of_two(y):
    weights = pyro.sample("weights", dist.Dirichlet(torch.ones(2)))
    locs = pyro.sample("locs", dist.Normal(0.0, 3.0).expand([2]).to_event(1))
    with pyro.plate("rows", 4):
        z = pyro.sample("z", dist.Categorical(weights))
        pyro.sample("y", dist.Normal(locs[z], 1.0), obs=y)


@program(DATA)
def one_switch(y):
    p = pyro.sample("p", dist.Beta(1.0, 1.0))
    on = pyro.sample("on", dist.Bernoulli(p))
    loc = pyro.sample("loc", dist.Normal(on, 1.0))
    with pyro.plate("rows", 4):
        pyro.sample("y", dist.Normal(loc, 1.0), obs=y)


@program(DATA)
def markov_chain(y):
    stay = pyro.sample("stay", dist.Beta(4.0, 2.0))
    transition = torch.stack([torch.stack([stay, 1 - stay]), torch.stack([1 - stay, stay])])
    locs = pyro.sample("locs", dist.Normal(torch.tensor([-1.0, 1.0]), 1.0).to_event(1))
    z = torch.tensor(0)
    for t in pyro.markov(range(4)):
        z = pyro.sample(f"z_{t}", dist.Categorical(transition[z]))
        pyro.sample(f"y_{t}", dist.Normal(locs[z], 1.0), obs=y[t])


# Arguments and data


def lambda_by_name(y):
    rate = pyro.sample("lambda", dist.Gamma(2.0, 1.0))
    size = pyro.sample("self", dist.Gamma(2.0, 1.0))
    with pyro.plate("rows", 4):
        pyro.sample("y", dist.Poisson(rate * size), obs=y)


enter("awkward_names", lambda_by_name, COUNTS)


@program(2, 0.5, (0.3, -0.2, 1.0), "gauss")
def plain_python_arguments(count, scale, values, family):
    mu = pyro.sample("mu", dist.Normal(0.0, scale).expand([count]).to_event(1))
    for i, value in enumerate(values):
        pyro.sample(f"y_{i}", dist.Normal(mu.sum(), float(scale)), obs=torch.tensor(value))


@program([0.3, -0.2, 1.0], [2, 1], FEATURES.numpy(), {"sd": [0.5, 1.5, 1.0]})
def lists_and_arrays(values, sizes, features, more):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0).expand([sizes[0]]).to_event(1))
    for i, value in enumerate(values):
        pyro.sample(f"y_{i}", dist.Normal(mu.sum(), 1.0), obs=value)
    for i, value in enumerate(values):
        pyro.sample(f"z_{i}", dist.Normal(mu[0], more["sd"][i]), obs=torch.tensor(float(value)))
    with pyro.plate("rows", len(features)):
        pyro.sample("x", dist.Normal(features @ mu, 1.0), obs=torch.zeros(4))


@program(FEATURES.double(), LABELS.double())
def double_precision(features, y):
    w = pyro.sample("w", dist.Normal(torch.zeros(2, dtype=torch.float64), 1.0).to_event(1))
    with pyro.plate("rows", 4):
        pyro.sample("y", dist.Bernoulli(logits=features @ w), obs=y)


@program(FEATURES, LABELS)
def logistic_by_rows(features, y):
    w = pyro.sample("w", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    with pyro.plate("rows", 4):
        pyro.sample("y", dist.Bernoulli(logits=(features * w).sum(-1)), obs=y)


@program(COUNTS)
def zero_inflated(y):
    rate = pyro.sample("rate", dist.Gamma(2.0, 1.0))
    gate = pyro.sample("gate", dist.Beta(1.0, 1.0))
    with pyro.plate("rows", 4):
        pyro.sample("y", dist.ZeroInflatedPoisson(rate, gate=gate), obs=y)


@program(FEATURES[:, 1].double(), DATA.double())
def gaussian_process(points, y):
    length = pyro.sample("length", dist.LogNormal(torch.tensor(0.0, dtype=torch.float64), 1.0))
    noise = pyro.sample("noise", dist.LogNormal(torch.tensor(-1.0, dtype=torch.float64), 1.0))
    kernel = torch.exp(-0.5 * ((points[:, None] - points) / length) ** 2) + noise * torch.eye(4, dtype=torch.float64)
    pyro.sample("y", dist.MultivariateNormal(points.new_zeros(4), covariance_matrix=kernel), obs=y)


@program(DATA[:3])
def correlated_effects(y):
    scales = pyro.sample("scales", dist.HalfNormal(1.0).expand([3]).to_event(1))
    factor = pyro.sample("factor", dist.LKJCholesky(3, 1.0))
    tril = scales[:, None] * factor
    with pyro.plate("rows", 2):
        z = pyro.sample("z", dist.MultivariateNormal(torch.zeros(3), scale_tril=tril))
        pyro.sample("y", dist.Normal(z, 1.0).to_event(1), obs=y.expand(2, 3))


def latent_as_observation_by_hand(x):
    return dist.Normal(0.0, 1.0).log_prob(x[0]) + dist.Normal(x[:2], 1.0).log_prob(x[1:]).sum()


@program(by_hand=latent_as_observation_by_hand)
def latent_as_observation():
    path = pyro.sample("path", dist.ImproperUniform(constraints.real, (), (3,)))
    pyro.sample("start", dist.Normal(0.0, 1.0), obs=path[0])
    pyro.sample("steps", dist.Normal(path[:-1], 1.0).to_event(1), obs=path[1:])


@program(DATA)
def python_loop(y):
    growth = pyro.sample("growth", dist.Beta(2.0, 2.0))
    start = pyro.sample("start", dist.LogNormal(0.0, 1.0))
    state, states = start, []
    for _ in range(20):
        state = state + 0.1 * growth * state * (1 - state / 3)
        states.append(state)
    with pyro.plate("times", 4):
        pyro.sample("y", dist.Normal(torch.stack(states[::5]), 1.0), obs=y)


@program(torch.tensor([0, 1, 1, 0]))
def hidden_markov(y):
    start = pyro.sample("start", dist.Dirichlet(torch.ones(2)))
    transition = pyro.sample("transition", dist.Dirichlet(torch.ones(2, 2)).to_event(1))
    emission = dist.Categorical(torch.tensor([[0.9, 0.1], [0.2, 0.8]]))
    pyro.sample("y", dist.DiscreteHMM(start.log(), transition.log(), emission), obs=y)


@program(DATA[:, None])
def linear_gaussian_states(y):
    noise = pyro.sample("noise", dist.LogNormal(0.0, 0.5))
    one = torch.eye(1)
    unit = dist.MultivariateNormal(torch.zeros(1), torch.eye(1))
    observed = dist.MultivariateNormal(torch.zeros(1), noise * torch.eye(1))
    pyro.sample("y", dist.GaussianHMM(unit, one, unit, one, observed, duration=4), obs=y)
