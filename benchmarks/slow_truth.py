"""Truth of the two slow posteriors by importance sampling in float64, without any part of the library.

python benchmarks/slow_truth.py    # needs numpy and scipy; some minutes

Optimisations from the 30 best of 2,000 draws of the prior find the modes. Each starts as a multivariate t distribution
with the curvature there. Four rounds of importance sampling fit their mixture by expectation-maximisation. Weights of
300,000 draws then give means, stds and log Z, with the effective number of draws beside them.
"""

from __future__ import annotations

import json
import sys

import numpy as np
from scipy import stats
from scipy.optimize import minimize
from slow_cases import CASES, RESULTS, Case, moments

TRIED, STARTS, ROUNDS, ROUND, DRAWS, FREEDOM, APART = 2_000, 30, 4, 20_000, 300_000, 5, 0.1


def log_density(case: Case, x: np.ndarray) -> np.ndarray:
    prior = stats.norm.logpdf(x, case.mean, case.std).sum(1)
    return prior + np.concatenate([case.log_likelihood(part) for part in np.array_split(x, max(1, len(x) // 5000))])


def optima(case: Case, generator: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Distinct optima within 15 nats of the best, with the covariance of BFGS there."""
    found: list[tuple[float, np.ndarray, np.ndarray]] = []
    tried = generator.normal(case.mean, case.std, (TRIED, len(case.mean)))
    for start in tried[np.argsort(-log_density(case, tried))[:STARTS]]:
        end = minimize(lambda x: -log_density(case, x[None])[0], start, method="BFGS")
        if not any(np.linalg.norm(end.x - other) < APART for _, other, _ in found):
            found.append((end.fun, end.x, end.hess_inv))
    best = min(value for value, _, _ in found)
    return [(x, 0.5 * (matrix + matrix.T)) for value, x, matrix in found if value < best + 15]


class Mixture:
    """Multivariate t distributions with shares."""

    def __init__(self, shares: np.ndarray, means: list[np.ndarray], covariances: list[np.ndarray], generator):
        self.shares, self.generator = shares, generator
        self.laws = [
            stats.multivariate_t(mean, covariance, df=FREEDOM, seed=generator)  # pyright: ignore[reportArgumentType]
            for mean, covariance in zip(means, covariances, strict=True)
        ]

    def log_terms(self, x: np.ndarray) -> np.ndarray:
        return np.stack([law.logpdf(x) + np.log(share) for law, share in zip(self.laws, self.shares, strict=True)])

    def sample(self, count: int) -> np.ndarray:
        numbers = self.generator.multinomial(count, self.shares)
        drawn = [law.rvs(int(n)).reshape(n, -1) for law, n in zip(self.laws, numbers, strict=True) if n]
        return np.concatenate(drawn)

    def refitted(self, x: np.ndarray, weights: np.ndarray) -> Mixture:
        terms = self.log_terms(x)
        belongs = np.exp(terms - np.logaddexp.reduce(terms)) * weights
        shares, means, covariances = belongs.sum(1), [], []
        for each in belongs:
            share = each / each.sum()
            mean = share @ x
            means.append(mean)
            covariances.append((share[:, None] * (x - mean)).T @ (x - mean) + 1e-9 * np.eye(len(mean)))
        floor = np.maximum(shares / shares.sum(), 0.01)
        return Mixture(floor / floor.sum(), means, covariances, self.generator)


def weighed(case: Case, law: Mixture, count: int) -> tuple[np.ndarray, np.ndarray]:
    x = law.sample(count)
    return x, log_density(case, x) - np.logaddexp.reduce(law.log_terms(x))


def truth_of(case: Case) -> dict:
    generator = np.random.default_rng(0)
    found = optima(case, generator)
    law = Mixture(np.full(len(found), 1 / len(found)), [x for x, _ in found], [m for _, m in found], generator)
    for _ in range(ROUNDS):
        x, log_w = weighed(case, law, ROUND)
        law = law.refitted(x, np.exp(log_w - np.logaddexp.reduce(log_w)))
    x, log_w = weighed(case, law, DRAWS)
    w = np.exp(log_w - log_w.max())
    effective = w.sum() ** 2 / (w**2).sum()
    return {
        **moments(x, w),
        "log_evidence": float(np.log(w.mean()) + log_w.max()),
        "std_error": float(np.sqrt(1 / effective - 1 / len(w))),
        "effective": round(float(effective)),
        "optima": len(found),
    }


if __name__ == "__main__":
    file = RESULTS / "truth.json"
    results = json.loads(file.read_text()) if file.exists() else {}
    results |= {name: truth_of(CASES[name]) for name in sys.argv[1:] or CASES}
    file.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))
