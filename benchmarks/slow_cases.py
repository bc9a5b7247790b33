"""The two posteriors of `slow_densities.py` in numpy, for samplers without Pyro: cube to parameters, likelihood."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.special import ndtri

RESULTS = Path(__file__).parent / "results" / "slow"

YEARS, STEPS_A_YEAR, NOISE = 15, 4, 0.25
RATES = np.array([0.55, 0.028, 0.80, 0.024])
START = np.array([30.0, 6.0])
PRIOR_LOGS = np.log([0.6, 0.03, 0.8, 0.025, 20.0, 20.0])
PRIOR_STDS = np.array([0.5, 0.5, 0.5, 0.5, 1.0, 1.0])
BEACONS = np.array([[-2.0, 0.0], [2.0, 0.0]])
TO_BEACON, BETWEEN = np.array([[2.03, 2.77], [3.11, 1.46]]), 1.43


@dataclass(frozen=True)
class Case:
    """A posterior in coordinates whose prior is normal.

    Args:
        name: of the model.
        mean: of the prior, ``(D,)``.
        std: of the prior, ``(D,)``.
        log_likelihood: ``(B, D) -> (B,)``.
    """

    name: str
    mean: np.ndarray
    std: np.ndarray
    log_likelihood: Callable[[np.ndarray], np.ndarray]

    def from_cube(self, cube: np.ndarray) -> np.ndarray:
        return self.mean + self.std * ndtri(np.clip(cube, 1e-300, 1 - 1e-16))


def sensors(x: np.ndarray) -> np.ndarray:
    """``(B, 4)``: east and north of the first sensor, then of the second."""
    place = x.reshape(-1, 2, 2)
    to_beacon = np.linalg.norm(place[:, :, None] - BEACONS, axis=-1)
    between = np.linalg.norm(place[:, 0] - place[:, 1], axis=-1)
    value = -0.5 * (((to_beacon - TO_BEACON) / 0.06) ** 2).sum((1, 2)) - 0.5 * ((between - BETWEEN) / 0.8) ** 2
    return value - 4 * np.log(0.06) - np.log(0.8) - 2.5 * np.log(2 * np.pi)


def populations(x: np.ndarray) -> np.ndarray:
    """Log prey and predators ``(B, YEARS, 2)`` by Runge and Kutta's fourth order; ``x: (B, 6)`` in logarithms."""
    rates, state, step = np.exp(x[:, :4]), x[:, 4:], 1 / STEPS_A_YEAR

    def slope(u: np.ndarray) -> np.ndarray:
        prey, predators = np.exp(u[:, 0]), np.exp(u[:, 1])
        return np.stack([rates[:, 0] - rates[:, 1] * predators, rates[:, 3] * prey - rates[:, 2]], 1)

    years = []
    with np.errstate(over="ignore", invalid="ignore"):
        for number in range(YEARS * STEPS_A_YEAR):
            first = slope(state)
            second = slope(state + 0.5 * step * first)
            third = slope(state + 0.5 * step * second)
            fourth = slope(state + step * third)
            state = state + step / 6 * (first + 2 * second + 2 * third + fourth)
            if (number + 1) % STEPS_A_YEAR == 0:
                years.append(state)
    return np.stack(years, 1)


def counts() -> np.ndarray:
    """Logarithms of the observed prey and predators, ``(YEARS, 2)``, simulated with seed 1."""
    exact = populations(np.log(np.concatenate([RATES, START]))[None])[0]
    return np.round(exact + NOISE * np.random.default_rng(1).standard_normal(exact.shape), 3)


def prey(x: np.ndarray) -> np.ndarray:
    """``(B, 6)``: logarithms of four rates and two starts."""
    residual = (populations(x) - counts()) / NOISE
    value = -0.5 * (residual**2).sum((1, 2)) - residual[0].size * (np.log(NOISE) + 0.5 * np.log(2 * np.pi))
    return np.where(np.isfinite(value), value, -1e10)


CASES = {
    "two_sensors": Case("two_sensors", np.tile([0.0, 0.3], 2), np.full(4, 1.5), sensors),
    "lotka_volterra": Case("lotka_volterra", PRIOR_LOGS, PRIOR_STDS, prey),
}


def truth(name: str) -> dict:
    """Means, stds and log evidence, from ``results/slow/truth.json``."""
    return json.loads((RESULTS / "truth.json").read_text())[name]


def moments(x: np.ndarray, weights: np.ndarray) -> dict:
    """Weighted mean and std of draws ``(N, D)``."""
    weights = weights / weights.sum()
    mean = weights @ x
    return {"mean": mean.tolist(), "std": np.sqrt(weights @ (x - mean) ** 2).tolist()}
