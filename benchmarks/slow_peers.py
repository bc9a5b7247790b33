"""pocoMC and nautilus on the slow posteriors, each with the defaults of its manual and about 4,000 draws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from slow_cases import Case

EFFECTIVE = 4_000
"""Draws that are asked for, as of the guide."""


class Counted:
    """The log likelihood, and how many particles it was asked for."""

    def __init__(self, case: Case):
        self.case, self.calls = case, 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.calls += len(x)
        return self.case.log_likelihood(x)


def nautilus(case: Case, seed: int) -> dict:
    from nautilus import Sampler

    density = Counted(case)
    sampler = Sampler(
        lambda cube: cube,
        lambda cube: density(case.from_cube(cube)),
        len(case.mean),
        pass_dict=False,
        vectorized=True,
        seed=seed,
    )
    sampler.run(n_eff=EFFECTIVE, discard_exploration=False)
    cube, log_weights, _ = sampler.posterior()
    found = {"x": case.from_cube(cube), "weights": np.exp(log_weights), "calls": density.calls}
    return {**found, "log_evidence": float(sampler.log_z), "std_error": float(1 / np.sqrt(sampler.n_eff))}


def pocomc(case: Case, seed: int) -> dict:
    from pocomc import Prior, Sampler
    from scipy.stats import norm

    density = Counted(case)
    prior = Prior([norm(mean, std) for mean, std in zip(case.mean, case.std, strict=True)])
    sampler = Sampler(prior=prior, likelihood=density, vectorize=True, random_state=seed)
    sampler.run(n_total=EFFECTIVE + 96, n_evidence=EFFECTIVE + 96, progress=False)
    x, weights, _, _ = sampler.posterior()
    log_evidence, std_error = sampler.evidence()
    found = {"x": x, "weights": weights, "calls": density.calls}
    return {**found, "log_evidence": float(log_evidence), "std_error": float(std_error)}


PEERS: dict[str, tuple[str, Callable[[Case, int], dict]]] = {
    "nautilus": ("nautilus-sampler", nautilus),
    "pocomc": ("pocomc", pocomc),
}
