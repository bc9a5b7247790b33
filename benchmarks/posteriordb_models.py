"""Pyro models of seven posteriors of posteriordb, their sites named as the reference draws name the parameters.

Each entry of `MODELS` is a model and the names of the fields of its data file that it takes, in order.
The data themselves, and the draws that others made of these posteriors, are not part of this project.
"""

from __future__ import annotations

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

constraints = dist.constraints


def flat(name: str, count: int) -> Tensor:
    """A coefficient vector ``(count,)`` with an improper uniform prior."""
    return pyro.sample(name, dist.ImproperUniform(constraints.real_vector, (), (count,)))


def flat_scale(name: str) -> Tensor:
    """A positive scale with an improper uniform prior."""
    return pyro.sample(name, dist.ImproperUniform(constraints.positive, (), ()))


def eight_schools(effect: Tensor, standard_error: Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("school", len(effect)):
        standardized = pyro.sample("theta_trans", dist.Normal(0.0, 1.0))
        theta = pyro.deterministic("theta", mu + tau * standardized)
        pyro.sample("y", dist.Normal(theta, standard_error), obs=effect)


def kidscore_momiq(mother_quotient: Tensor, score: Tensor) -> None:
    beta = flat("beta", 2)
    sigma = pyro.sample("sigma", dist.HalfCauchy(2.5))
    with pyro.plate("child", len(score)):
        pyro.sample("kid_score", dist.Normal(beta[0] + beta[1] * mother_quotient, sigma), obs=score)


def autoregression(series: Tensor, order: int) -> None:
    alpha = pyro.sample("alpha", dist.Normal(0.0, 10.0))
    beta = pyro.sample("beta", dist.Normal(torch.zeros(order), 10.0).to_event(1))
    sigma = pyro.sample("sigma", dist.HalfCauchy(2.5))
    lagged = series.unfold(0, order, 1)[:-1].flip(-1)
    with pyro.plate("time", len(series) - order):
        pyro.sample("y", dist.Normal(alpha + lagged @ beta, sigma), obs=series[order:])


def earn_height(height: Tensor, earnings: Tensor) -> None:
    beta = flat("beta", 2)
    sigma = flat_scale("sigma")
    with pyro.plate("person", len(earnings)):
        pyro.sample("earn", dist.Normal(beta[0] + beta[1] * height, sigma), obs=earnings)


def logmesquite(
    first_diameter: Tensor,
    second_diameter: Tensor,
    canopy_height: Tensor,
    total_height: Tensor,
    density: Tensor,
    group: Tensor,
    weight: Tensor,
) -> None:
    beta = flat("beta", 7)
    sigma = flat_scale("sigma")
    logs = [column.log() for column in (first_diameter, second_diameter, canopy_height, total_height, density)]
    columns = torch.stack([torch.ones_like(group), *logs, group], dim=1)
    with pyro.plate("bush", len(weight)):
        pyro.sample("log_weight", dist.Normal(columns @ beta, sigma), obs=weight.log())


def gaussian_process_regression(x: Tensor, y: Tensor) -> None:
    rho = pyro.sample("rho", dist.Gamma(25.0, 4.0))
    alpha = pyro.sample("alpha", dist.HalfNormal(2.0))
    sigma = pyro.sample("sigma", dist.HalfNormal(1.0))
    squared_distance = (x[:, None] - x[None, :]).square()
    covariance = alpha.square() * (-0.5 * squared_distance / rho.square()).exp() + sigma * torch.eye(len(x))
    pyro.sample("y", dist.MultivariateNormal(torch.zeros_like(y), covariance), obs=y)


def two_component_mixture(y: Tensor) -> None:
    mu = pyro.sample("mu", dist.ImproperUniform(constraints.ordered_vector, (), (2,)))
    pyro.factor("mu_prior", dist.Normal(0.0, 2.0).log_prob(mu).sum())
    sigma = pyro.sample("sigma", dist.HalfNormal(torch.full((2,), 2.0)).to_event(1))
    theta = pyro.sample("theta", dist.Beta(5.0, 5.0))
    component = dist.Categorical(probs=torch.stack([theta, 1.0 - theta]))
    with pyro.plate("point", len(y)):
        pyro.sample("y", dist.MixtureSameFamily(component, dist.Normal(mu, sigma)), obs=y)


MODELS: dict[str, tuple[Callable, list[str]]] = {
    "eight_schools_noncentered": (eight_schools, ["y", "sigma"]),
    "kidscore_momiq": (kidscore_momiq, ["mom_iq", "kid_score"]),
    "arK": (autoregression, ["y", "K"]),
    "earn_height": (earn_height, ["height", "earn"]),
    "logmesquite": (
        logmesquite,
        ["diam1", "diam2", "canopy_height", "total_height", "density", "group", "weight"],
    ),
    "gp_regr": (gaussian_process_regression, ["x", "y"]),
    "low_dim_gauss_mix": (two_component_mixture, ["y"]),
}
