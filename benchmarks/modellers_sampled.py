"""The modellers' models that have no closed form, in numpyro, for long NUTS chains in float64.

Each is written a second time here, from the formula in its file. `modellers_truth.py` compares the density with
Pyro's. Some are sampled in another form (``SAMPLED``), with effects standardized or integrated out. Chains are faster
there, and the posterior is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.infer.reparam import LocScaleReparam

HORSESHOE_EXPECTED = 5 / 15 / math.sqrt(60)


def seeds(kind, extract, sown, germinated):
    tau = numpyro.sample("tau", dist.Gamma(0.01, 0.01))
    a_0, a_1, a_2, a_12 = (numpyro.sample(name, dist.Normal(0.0, 10.0)) for name in ("a_0", "a_1", "a_2", "a_12"))
    with numpyro.plate("plate", len(sown)):
        b = numpyro.sample("b", dist.Normal(0.0, tau**-0.5))
        logits = a_0 + a_1 * kind + a_2 * extract + a_12 * kind * extract + b
        numpyro.sample("germinated", dist.Binomial(sown.astype(int), logits=logits), obs=germinated)


def horseshoe_scales(width: int, regularized: bool):
    """Noise, and the std of each coefficient."""
    noise = numpyro.sample("noise", dist.HalfNormal(2.0))
    tau = numpyro.sample("tau", dist.HalfCauchy(HORSESHOE_EXPECTED * noise if regularized else 1.0))
    slab = numpyro.sample("slab", dist.InverseGamma(2.0, 8.0)) if regularized else None
    with numpyro.plate("column", width):
        scale = tau * numpyro.sample("lambda", dist.HalfCauchy(1.0))
    return noise, scale if slab is None else scale * jnp.sqrt(slab / (slab + scale**2))


def horseshoe(columns, y, regularized=False):
    noise, std = horseshoe_scales(columns.shape[1], regularized)
    with numpyro.plate("columns", columns.shape[1]):
        coefficient = numpyro.sample("coefficient", dist.Normal(0.0, std))
    numpyro.sample("y", dist.Normal(columns @ coefficient, noise).to_event(1), obs=y)


def horseshoe_marginal(columns, y, regularized=False):
    """The coefficients are integrated out, and drawn afterwards, exactly."""
    noise, std = horseshoe_scales(columns.shape[1], regularized)
    factor, mean, residual = given_scales(columns, y, noise, std)
    constant = -len(y) * (jnp.log(noise) + 0.5 * math.log(2 * math.pi))
    numpyro.factor("y", constant - 0.5 * y @ residual / noise**2 - jnp.log(factor.diagonal()).sum())


def given_scales(columns, y, noise, std):
    """Of coefficients over their std, given the rest: factor of the precision, mean, residual of y."""
    scaled = columns * std / noise
    factor = jnp.linalg.cholesky(jnp.eye(columns.shape[1]) + scaled.T @ scaled)
    mean = jax.scipy.linalg.cho_solve((factor, True), scaled.T @ y / noise)
    return factor, mean, y - noise * scaled @ mean


def horseshoe_coefficients(key, draw, columns, y, regularized=False):
    """One exact draw of the coefficients given the rest."""
    scale = draw["tau"] * draw["lambda"]
    std = scale * jnp.sqrt(draw["slab"] / (draw["slab"] + scale**2)) if regularized else scale
    factor, mean, _ = given_scales(columns, y, draw["noise"], std)
    normal = jax.random.normal(key, std.shape)
    standard = mean + jax.scipy.linalg.solve_triangular(factor.T, normal, lower=False)
    return std * standard


def stochastic_volatility(returns):
    step_std = numpyro.sample("step_std", dist.Exponential(10.0))
    nu = numpyro.sample("nu", dist.Exponential(0.1))
    with numpyro.plate("day", len(returns)):
        step = numpyro.sample("step", dist.Normal(0.0, step_std))
    log_volatility = numpyro.deterministic("log_volatility", jnp.cumsum(step))
    numpyro.sample("return", dist.StudentT(nu, 0.0, jnp.exp(log_volatility)).to_event(1), obs=returns)


def item_response(right):
    difficulty_mean = numpyro.sample("difficulty_mean", dist.Normal(0.0, 2.0))
    difficulty_std = numpyro.sample("difficulty_std", dist.HalfNormal(1.0))
    discrimination_std = numpyro.sample("discrimination_std", dist.HalfNormal(1.0))
    persons, questions = right.shape
    with numpyro.plate("person", persons, dim=-2):
        ability = numpyro.sample("ability", dist.Normal(0.0, 1.0))
    with numpyro.plate("question", questions, dim=-1):
        difficulty = numpyro.sample("difficulty", dist.Normal(difficulty_mean, difficulty_std))
        discrimination = numpyro.sample("discrimination", dist.LogNormal(0.0, discrimination_std))
    logits = discrimination * (ability - difficulty)
    numpyro.sample("right", dist.Bernoulli(logits=logits).to_event(2), obs=right)


def gaussian_process_counts(x, count, whitened=False):
    intercept = numpyro.sample("intercept", dist.Normal(0.0, 2.0))
    amplitude = numpyro.sample("amplitude", dist.HalfNormal(1.0))
    length = numpyro.sample("length", dist.LogNormal(-1.5, 0.5))
    distance = math.sqrt(3.0) * jnp.abs(x[:, None] - x) / length
    covariance = amplitude**2 * (1 + distance) * jnp.exp(-distance) + 1e-4 * jnp.eye(len(x))
    if whitened:
        standard = numpyro.sample("standard", dist.Normal(0.0, 1.0).expand([len(x)]).to_event(1))
        f = numpyro.deterministic("f", jnp.linalg.cholesky(covariance) @ standard)
    else:
        f = numpyro.sample("f", dist.MultivariateNormal(jnp.zeros(len(x)), covariance))
    numpyro.sample("count", dist.Poisson(jnp.exp(intercept + f)).to_event(1), obs=count)


def correlated_effects(day, y):
    mean = numpyro.sample("mean", dist.Normal(0.0, 2.0).expand([2]).to_event(1))
    std = numpyro.sample("std", dist.HalfNormal(1.0).expand([2]).to_event(1))
    correlation = numpyro.sample("correlation", dist.LKJCholesky(2, 2.0))
    noise = numpyro.sample("noise", dist.HalfNormal(1.0))
    with numpyro.plate("person", len(y)):
        effect = numpyro.sample("effect", dist.MultivariateNormal(mean, scale_tril=std[:, None] * correlation))
    expected = effect[:, :1] + effect[:, 1:] * day
    numpyro.sample("y", dist.Normal(expected, noise).to_event(2), obs=y)


def zero_inflated_counts(count):
    rate_mean = numpyro.sample("rate_mean", dist.Normal(1.0, 1.0))
    rate_std = numpyro.sample("rate_std", dist.HalfNormal(1.0))
    idle_mean = numpyro.sample("idle_mean", dist.Normal(0.0, 1.5))
    idle_std = numpyro.sample("idle_std", dist.HalfNormal(1.0))
    with numpyro.plate("lake", count.shape[1]):
        log_rate = numpyro.sample("log_rate", dist.Normal(rate_mean, rate_std))
        idle = numpyro.sample("idle", dist.Normal(idle_mean, idle_std))
    rate, fishing = jnp.exp(log_rate), jax.nn.sigmoid(-idle)
    poisson = dist.Poisson(rate).log_prob(count)
    some = jnp.log(fishing) + poisson
    numpyro.factor("count", jnp.where(count == 0, jnp.logaddexp(-jax.nn.softplus(-idle), some), some).sum())


MODELS: dict[str, Callable[..., None]] = {
    "seeds": seeds,
    "horseshoe": horseshoe,
    "horseshoe_regularized": lambda columns, y: horseshoe(columns, y, regularized=True),
    "stochastic_volatility": stochastic_volatility,
    "item_response": item_response,
    "gaussian_process_counts": gaussian_process_counts,
    "correlated_effects": correlated_effects,
    "zero_inflated_counts": zero_inflated_counts,
}
"""In the form of the Pyro model, for the comparison of densities."""


def reparametrized(model: Callable[..., None], site: str, centring: float = 0.0) -> Callable[..., None]:
    return numpyro.handlers.reparam(model, {site: LocScaleReparam(centring)})


SAMPLED: dict[str, Callable[..., None]] = {
    "seeds": reparametrized(seeds, "b"),
    "horseshoe": horseshoe_marginal,
    "horseshoe_regularized": lambda columns, y: horseshoe_marginal(columns, y, regularized=True),
    "stochastic_volatility": reparametrized(stochastic_volatility, "step"),
    "gaussian_process_counts": lambda x, count: gaussian_process_counts(x, count, whitened=True),
    "zero_inflated_counts": reparametrized(zero_inflated_counts, "idle"),
}
"""In the form that chains cross quickly, where that is another one."""
