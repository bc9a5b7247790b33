"""Truth by quadrature, for the modellers' models that are Gaussian once a few hyperparameters are known.

Given the hyperparameters θ, the log density of latents z and data y is ``c(θ) + b(θ) · z - z · Q(θ) z / 2``. So the
integral over z, and the mean and covariance of z, are in closed form. θ has one to three dimensions and lies on a grid.
The trapezoid rule converges there faster than any power of the cell: the density falls to nothing at both ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from modellers_cases import CASES
from scipy.interpolate import CubicSpline
from scipy.linalg import solve_triangular
from scipy.special import ndtr

QUANTILES = {"q05": 0.05, "q95": 0.95}
NEGLIGIBLE = 22.0
"""Nats below the highest point where the grid ends: e⁻²² of the mass is far below the rounding of the files."""
HALF_LOG_TAU = 0.5 * np.log(2 * np.pi)


@dataclass(frozen=True)
class Conditional:
    """A model that is Gaussian given θ.

    Args:
        box: lowest and highest value of each element of θ, wider than needed.
        points: of the last grid in each direction.
        log_prior: ``(M, d) -> (M,)``, of θ, with the Jacobian of its transform.
        parts: θ ``(d,)`` to ``c, Q: (L, L), b: (L,)``.
        functionals: rows ``(S, L)``: what is reported of z.
        sites: names and sizes of what the rows are, in order.
        hyper: names of θ's sites, and whether θ is the logarithm of the site.
    """

    box: Sequence[tuple[float, float]]
    points: int
    log_prior: Callable[[np.ndarray], np.ndarray]
    parts: Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray]]
    functionals: np.ndarray
    sites: Mapping[str, int]
    hyper: Mapping[str, bool]


def log_normal_density(x, mean, std):
    return -0.5 * ((x - mean) / std) ** 2 - np.log(std) - HALF_LOG_TAU


def log_half_normal(log_x: np.ndarray, std: float) -> np.ndarray:
    """Log density of ``log x`` where x is half-normal."""
    return np.log(2.0) + log_normal_density(np.exp(log_x), 0.0, std) + log_x


def grid(box: Sequence[tuple[float, float]], points: int) -> tuple[np.ndarray, list[np.ndarray]]:
    axes = [np.linspace(low, high, points) for low, high in box]
    return np.stack([axis.reshape(-1) for axis in np.meshgrid(*axes, indexing="ij")], -1), axes


def log_joint(model: Conditional, theta: np.ndarray) -> np.ndarray:
    """Log density ``(M,)`` of θ ``(M, d)`` and y."""
    values = model.log_prior(theta)
    for index, point in enumerate(theta):
        constant, precision, linear = model.parts(point)
        factor = np.linalg.cholesky(precision)
        half = solve_triangular(factor, linear, lower=True)
        values[index] += constant + len(linear) * HALF_LOG_TAU - np.log(factor.diagonal()).sum() + 0.5 * half @ half
    return values


def moments(model: Conditional, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and stds ``(M, S)`` of the functionals given θ ``(M, d)``."""
    means, stds = [], []
    for point in theta:
        _, precision, linear = model.parts(point)
        factor = np.linalg.cholesky(precision)
        white = solve_triangular(factor, np.column_stack([linear, model.functionals.T]), lower=True)
        means.append(white[:, 0] @ white[:, 1:])
        stds.append(np.linalg.norm(white[:, 1:], axis=0))
    return np.array(means), np.array(stds)


def narrowed(model: Conditional) -> list[tuple[float, float]]:
    """The box where the density of θ is not negligible."""
    theta, axes = grid(model.box, 41 if len(model.box) < 3 else 15)
    values = log_joint(model, theta)
    kept = theta[values > values.max() - NEGLIGIBLE]
    cells = [axis[1] - axis[0] for axis in axes]
    return [(low - cell, high + cell) for low, high, cell in zip(kept.min(0), kept.max(0), cells, strict=True)]


def solve(model: Conditional) -> dict:
    """Evidence, moments and quantiles of every site."""
    theta, axes = grid(narrowed(model), model.points)
    values = log_joint(model, theta)
    cell = np.prod([axis[1] - axis[0] for axis in axes])
    total = np.logaddexp.reduce(values)
    weights = np.exp(values - total)
    kept = weights > 1e-12
    means, stds = moments(model, theta[kept])
    sites, start = {}, 0
    for position, (name, logarithm) in enumerate(model.hyper.items()):
        sites[name] = of_hyperparameter(theta[:, position], weights, axes[position], logarithm)
    every = of_mixture(weights[kept], means, stds)
    for name, size in model.sites.items():
        sites[name] = {key: value[start : start + size] for key, value in every.items()}
        start += size
    return {"log_evidence": [float(total + np.log(cell)), 0.0], "sites": sites}


def of_mixture(weights: np.ndarray, means: np.ndarray, stds: np.ndarray) -> dict[str, np.ndarray]:
    """Moments and quantiles ``(S,)`` of the mixtures of Gaussians ``(M,), (M, S), (M, S)``."""
    mean = weights @ means
    sd = np.sqrt(weights @ (stds**2 + (means - mean) ** 2))
    found = {"mean": mean, "sd": sd}
    for name, level in QUANTILES.items():
        low, high = mean - 12 * sd, mean + 12 * sd
        for _ in range(40):
            middle = (low + high) / 2
            below = weights @ ndtr((middle - means) / stds) < level
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        found[name] = (low + high) / 2
    return found


def of_hyperparameter(values: np.ndarray, weights: np.ndarray, axis: np.ndarray, logarithm: bool) -> dict:
    """Moments and quantiles of one element of θ, from a spline through its log density."""
    index = np.rint((values - axis[0]) / (axis[1] - axis[0])).astype(int)
    density = np.log(np.bincount(index, weights, len(axis)) + 1e-300)
    fine = np.linspace(axis[0], axis[-1], 20_001)
    mass = np.exp(CubicSpline(axis, density)(fine))
    mass /= mass.sum()
    points = np.exp(fine) if logarithm else fine
    mean = mass @ points
    found = {"mean": mean, "sd": np.sqrt(mass @ (points - mean) ** 2)}
    quantiles = {name: np.interp(level, mass.cumsum(), points) for name, level in QUANTILES.items()}
    return {name: np.array([value]) for name, value in (found | quantiles).items()}


def arguments(name: str) -> list[np.ndarray]:
    return [tensor.double().numpy() for tensor in CASES[name].arguments]


def eight_schools() -> Conditional:
    effect, error = arguments("eight_schools")

    def log_prior(theta: np.ndarray) -> np.ndarray:
        scaled = np.exp(theta[:, 0]) / 5.0
        return np.log(2 / np.pi) - np.log1p(scaled**2) + np.log(scaled)

    def parts(theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        prior = np.exp(-2 * theta[0])
        precision = np.diag(np.append(1 / 25 + 8 * prior, prior + error**-2))
        precision[0, 1:] = precision[1:, 0] = -prior
        linear = np.append(0.0, effect / error**2)
        constant = (
            log_normal_density(effect, 0.0, error).sum() - 8 * (theta[0] + HALF_LOG_TAU) - np.log(5) - HALF_LOG_TAU
        )
        return constant, precision, linear

    return Conditional([(-13.0, 9.0)], 1_001, log_prior, parts, np.eye(9), {"mu": 1, "theta": 8}, {"tau": True})


def common_precision() -> Conditional:
    (x,) = arguments("common_precision")

    def parts(theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        constant = log_normal_density(x, 0.0, 1.0).sum() + len(x) * (0.5 * theta[0] - HALF_LOG_TAU)
        return constant, np.eye(len(x)) * (1 + np.exp(theta[0])), x

    return Conditional(
        [(-12.0, 16.0)],
        401,
        lambda theta: log_normal_density(theta[:, 0], 2.0, 2.0),
        parts,
        np.eye(len(x)),
        {"mean": len(x)},
        {"log_precision": False},
    )


def ten_groups() -> Conditional:
    (y,) = arguments("ten_groups")
    rows, groups = y.shape

    def parts(theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        prior, seen = np.exp(-2 * theta)
        precision = np.diag(np.append(1 / 25 + groups * prior, np.full(groups, prior + rows * seen)))
        precision[0, 1:] = precision[1:, 0] = -prior
        constant = log_normal_density(y, 0.0, np.exp(theta[1])).sum() - groups * (theta[0] + HALF_LOG_TAU)
        return constant - np.log(5) - HALF_LOG_TAU, precision, np.append(0.0, y.sum(0) * seen)

    return Conditional(
        [(-8.0, 3.0), (-2.0, 1.0)],
        81,
        lambda theta: log_half_normal(theta, 2.0).sum(-1),
        parts,
        np.eye(groups + 1),
        {"mean": 1, "effect": groups},
        {"std": True, "noise": True},
    )


def varying_slopes() -> Conditional:
    group, floor, y = arguments("varying_slopes")
    groups = int(group.max()) + 1
    columns = np.zeros((len(y), 2 * groups + 2))  # both means, then the intercepts, then the slopes
    columns[np.arange(len(y)), 2 + group.astype(int)] = 1.0
    columns[np.arange(len(y)), 2 + groups + group.astype(int)] = floor
    gram, explained = columns.T @ columns, columns.T @ y
    first, second = slice(2, 2 + groups), slice(2 + groups, None)

    def parts(theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        prior, seen = np.exp(-2 * theta[:2]), np.exp(-2 * theta[2])
        precision = gram * seen
        precision[[0, 1], [0, 1]] += 0.25 + groups * prior
        for position, effects in enumerate((first, second)):
            precision[effects, effects] += np.eye(groups) * prior[position]
            precision[position, effects] = precision[effects, position] = -prior[position]
        constant = log_normal_density(y, 0.0, np.exp(theta[2])).sum() - 2 * (np.log(2) + HALF_LOG_TAU)
        return constant - groups * (theta[:2] + HALF_LOG_TAU).sum(), precision, explained * seen

    return Conditional(
        [(-4.0, 1.0), (-10.0, 1.0), (-1.0, 0.5)],
        49,  # with 25 points log Z was 0.006 nats off: the slopes' std falls off steeply on one side
        lambda theta: log_half_normal(theta, 1.0).sum(-1),
        parts,
        np.eye(2 * groups + 2),
        {"intercept_mean": 1, "slope_mean": 1, "intercept": groups, "slope": groups},
        {"intercept_std": True, "slope_std": True, "noise": True},
    )


def random_walk(name: str) -> Conditional:
    (y,) = arguments(name)
    steps = len(y)
    differences = np.eye(steps) - np.eye(steps, k=-1)
    walk = differences.T @ differences

    def parts(theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        prior, seen = np.exp(-2 * theta)
        constant = log_normal_density(y, 0.0, np.exp(theta[1])).sum() - steps * (theta[0] + HALF_LOG_TAU)
        return constant, walk * prior + np.eye(steps) * seen, y * seen

    return Conditional(
        [(-5.0, 1.0), (-3.0, 1.0)],
        21,
        lambda theta: log_half_normal(theta, 1.0).sum(-1),
        parts,
        np.concatenate([differences, np.eye(steps)]),
        {"step": steps, "level": steps},
        {"step_std": True, "noise": True},
    )


EXACT: dict[str, Callable[[], Conditional]] = {
    "eight_schools": eight_schools,
    "common_precision": common_precision,
    "ten_groups": ten_groups,
    "varying_slopes": varying_slopes,
    "random_walk": lambda: random_walk("random_walk"),
    "random_walk_500": lambda: random_walk("random_walk_500"),
}
