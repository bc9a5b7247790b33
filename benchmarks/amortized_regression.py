"""Amortized regression beside sbi's NPE: training, milliseconds for a posterior, error against the exact one.

    python benchmarks/amortized_regression.py ours
    python benchmarks/amortized_regression.py npe   # in an environment with sbi and pyro-ppl
    python benchmarks/amortized_regression.py exact

Three coefficients and 20 rows, whose covariates are fixed; the responses are the data. 100 new data sets are judged by
1,000 draws each. Seconds are processor seconds of one thread.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from sbibm_tasks import processor_clock
from torch import Tensor

ROWS, COEFFICIENTS, NOISE = 20, 3, 0.5
DESIGN = torch.randn(ROWS, COEFFICIENTS, generator=torch.Generator().manual_seed(0))
JUDGED, DRAWS = 100, 1_000
ALONE = 20
"""Data sets whose posterior is drawn alone; the median of their times counts."""
SIMULATIONS = 10_000
"""Of NPE."""

Draw = Callable[[Tensor], Tensor]
"""From data sets ``(M, 20)`` to draws ``(M, 1000, 3)``."""


def regression(y: Tensor) -> None:
    weights = pyro.sample("weights", dist.Normal(torch.zeros(COEFFICIENTS), 1.0).to_event(1))
    pyro.sample("y", dist.Normal(weights @ DESIGN.mT, NOISE).to_event(1), obs=y)


def simulated(count: int) -> tuple[Tensor, Tensor]:
    """Pairs of the joint law: ``(count, 3)`` and ``(count, 20)``."""
    with pyro.plate("pairs", count):
        nodes = poutine.trace(poutine.uncondition(regression)).get_trace(torch.zeros(ROWS)).nodes
    weights, y = (torch.as_tensor(nodes[name]["value"]) for name in ("weights", "y"))
    return weights, y


def exact(y: Tensor) -> tuple[Tensor, Tensor]:
    """Posterior means ``(M, 3)`` and the covariance ``(3, 3)``."""
    x = DESIGN.double()
    covariance = torch.linalg.inv(torch.eye(COEFFICIENTS).double() + x.mT @ x / NOISE**2)
    return y.double() @ x @ covariance / NOISE**2, covariance


def by_guide(seconds: float) -> dict[str, Draw]:
    from amortized import DiffusionGuide

    guide = DiffusionGuide(regression, amortize="y", max_seconds=seconds, seed=0, progress=False)
    guide.fit(simulated(1)[1])

    def drawing(correction: str) -> Draw:
        return lambda y: guide.sample(DRAWS, y, correction=correction)["weights"]

    return {"ours, corrected": drawing("best"), "ours, uncorrected": drawing("none")}


def by_npe(seconds: float) -> dict[str, Draw]:
    from sbi.inference import NPE  # pyright: ignore[reportMissingImports]  # in an environment of its own

    prior = torch.distributions.MultivariateNormal(torch.zeros(COEFFICIENTS), torch.eye(COEFFICIENTS))
    inference = NPE(prior=prior, show_progress_bars=False)
    inference.append_simulations(*simulated(SIMULATIONS)).train()
    posterior = inference.build_posterior()
    draw = posterior.sample_batched
    return {"NPE": lambda y: draw((DRAWS,), x=y, show_progress_bars=False).transpose(0, 1)}


def by_formula(seconds: float) -> dict[str, Draw]:
    def draw(y: Tensor) -> Tensor:
        mean, covariance = exact(y)
        noise = torch.randn(len(y), DRAWS, COEFFICIENTS, dtype=torch.float64)
        return mean[:, None] + noise @ torch.linalg.cholesky(covariance).mT

    return {"exact draws": draw}


def judged(draw: Draw, fresh: Tensor) -> dict[str, float]:
    """Milliseconds and errors of one way to draw."""
    draw(fresh[:1])
    times = []
    for y in fresh[:ALONE]:
        began = time.perf_counter()
        draw(y[None])
        times.append(time.perf_counter() - began)
    began = time.perf_counter()
    draws = draw(fresh).double()
    batch = time.perf_counter() - began
    mean, covariance = exact(fresh)
    std = covariance.diagonal().sqrt()
    off = ((draws.mean(1) - mean) / std).abs()
    return {
        "milliseconds alone": 1_000 * median(times),
        "milliseconds in a batch of 100": 1_000 * batch / len(fresh),
        "median error of a mean, stds": float(off.median()),
        "largest error of a mean, stds": float(off.max()),
        "median error of a std, relative": float((draws.std(1) / std - 1).abs().median()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ways = {"ours": by_guide, "npe": by_npe, "exact": by_formula}
    parser.add_argument("what", choices=ways)
    parser.add_argument("--seconds", type=float, default=15.0, help="processor seconds of training, for `ours`")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    fresh = simulated(JUDGED)[1]
    with processor_clock():
        began = time.perf_counter()
        found = ways[asked.what](asked.seconds)
        training = time.perf_counter() - began
        figures = {name: {"training seconds": training, **judged(draw, fresh)} for name, draw in found.items()}
    for name, values in figures.items():
        print(name, *(f"  {label:<40}{value:.4g}" for label, value in values.items()), sep="\n")
    if asked.out:
        asked.out.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
