"""Amortized guides where the truth is known: error, evidence, calibration, modes, and what they cost beside NUTS.

    python benchmarks/amortized_posteriors.py regression --seconds 300
    python benchmarks/amortized_posteriors.py squares --seconds 120
    python benchmarks/amortized_posteriors.py sensors --seconds 120

Every line of the output is a figure of docs/amortized.md; ``--out FILE`` keeps them as JSON.
"""

from __future__ import annotations

import math
import time
import warnings
from pathlib import Path

import pyro
import pyro.distributions as dist
import torch
from support import parser_of, write_json

from amortized import DiffusionGuide
from amortized.baselines import nuts
from amortized.targets.pyro.target import PyroTarget

NOISE = 0.5
SENSORS = torch.tensor([[-0.5, 0.0], [0.5, 0.0]])


def regression(x, y):
    weights = pyro.sample("weights", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(x @ weights, NOISE), obs=y)


def squares(y):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(z.square(), 0.2), obs=y)


def sensors(distances):
    place = pyro.sample("place", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    ranges = (place - SENSORS).square().sum(-1).sqrt()
    pyro.sample("distances", dist.Normal(ranges, 0.1).to_event(1), obs=distances)


def regression_data(count: int, seed: int) -> tuple[list, list]:
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.randint(5, 51, (count,), generator=generator).tolist()
    inputs = [torch.randn(size, 3, generator=generator) for size in sizes]
    weights = torch.randn(count, 3, generator=generator)
    noise = [NOISE * torch.randn(size, generator=generator) for size in sizes]
    return inputs, [x @ w + e for x, w, e in zip(inputs, weights, noise, strict=True)]


def exact_regression(x, y) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Mean, standard deviations and log evidence in closed form."""
    x, y = x.double(), y.double()
    precision = torch.eye(3).double() + x.mT @ x / NOISE**2
    mean = torch.linalg.solve(precision, x.mT @ y / NOISE**2)
    covariance = x @ x.mT + NOISE**2 * torch.eye(len(y)).double()
    evidence = torch.distributions.MultivariateNormal(torch.zeros(len(y)).double(), covariance).log_prob(y)
    return mean, torch.linalg.inv(precision).diagonal().sqrt(), float(evidence)


def run_regression(seconds: float) -> dict[str, float]:
    training, fresh = regression_data(2_000, 0), regression_data(200, 1)
    guide = DiffusionGuide(regression, amortize=("x", "y"), max_seconds=seconds).fit(*training)
    found: dict[str, float] = {"training seconds": guide.seconds}
    for correction in ("resample", "none"):
        draws = guide.sample(2_000, *fresh, correction=correction)["weights"].double()
        exact = [exact_regression(x, y) for x, y in zip(*fresh, strict=True)]
        mean, deviation = torch.stack([m for m, _, _ in exact]), torch.stack([s for _, s, _ in exact])
        error = (draws.mean(1) - mean).abs() / deviation
        ratio = draws.std(1) / deviation
        found |= {
            f"mean error, {correction} (sd)": float(error.mean()),
            f"largest mean error, {correction} (sd)": float(error.max()),
            f"sd error, {correction} (relative)": float((ratio - 1).abs().mean()),
            f"largest sd error, {correction}": float((ratio - 1).abs().max()),
        }
    estimates, diagnoses = guide.log_evidence(*fresh), guide.diagnose(*[part[:20] for part in fresh])
    assert isinstance(estimates, list) and isinstance(diagnoses, list)
    evidence = torch.tensor([estimate.value for estimate in estimates])
    gaps = (evidence - torch.tensor([z for _, _, z in exact])).abs()
    found |= {"log evidence error (nats)": float(gaps.mean()), "largest log evidence error": float(gaps.max())}
    fractions = [one.ess_fraction for one in diagnoses]
    found["effective draws"] = sum(fractions) / len(fractions)
    calibration = guide.calibrate(1_000)
    print(found, calibration, sep="\n")
    found |= {f"SBC p-value, {ranks.name}": ranks.p_value for ranks in calibration.scalars}
    return found | against_nuts(guide, regression, [part[:5] for part in fresh])


def against_nuts(guide: DiffusionGuide, model, data: list) -> dict[str, float]:
    """Seconds for 1,000 draws of one data set, and how many data sets make training worth its price."""
    sets = list(zip(*data, strict=True))
    guide.sample(1_000, *sets[0])
    times, by_nuts = [], []
    for one in sets:
        began = time.perf_counter()
        guide.sample(1_000, *one)
        times.append(time.perf_counter() - began)
        began = time.perf_counter()
        nuts.run(PyroTarget(model, one), chains=1, warmup=500, draws=1_000, seed=0)
        by_nuts.append(time.perf_counter() - began)
    began = time.perf_counter()
    guide.sample(1_000, *[part * 4 if isinstance(part, list) else torch.cat([part] * 4) for part in data])
    batch = (time.perf_counter() - began) / (4 * len(sets))
    ours, theirs = sum(times) / len(times), sum(by_nuts) / len(by_nuts)
    return {
        "milliseconds for 1,000 draws, one data set": 1_000 * ours,
        "milliseconds for 1,000 draws, in a batch": 1_000 * batch,
        "seconds by NUTS, one chain of 500 + 1,000": theirs,
        "data sets after which training is cheaper": guide.seconds / (theirs - ours),
    }


def run_two_modes(model, site: str, axis: int, seconds: float, template: torch.Tensor) -> dict[str, float]:
    """Both halves of a posterior that is symmetric in one coordinate: the share of draws in each is a half."""
    name = "y" if model is squares else "distances"
    guide = DiffusionGuide(model, amortize=name, max_seconds=seconds).fit(template)
    generator = torch.Generator().manual_seed(1)
    if model is squares:
        z = torch.randn(200, generator=generator)
        data, far = z.square() + 0.2 * torch.randn(200, generator=generator), z.abs()
    else:
        z = torch.randn(200, 2, generator=generator)
        clean = (z[:, None] - SENSORS).square().sum(-1).sqrt()
        data, far = clean + 0.1 * torch.randn(200, 2, generator=generator), z[:, 1].abs()
    found = {"training seconds": guide.seconds}
    for correction in ("resample", "none"):
        draws = guide.sample(1_000, data, correction=correction)[site]
        side = draws if draws.ndim == 2 else draws[..., axis]
        share = (side > 0).double().mean(1)
        within = (share - 0.5).abs() <= 0.1
        apart = far > 0.5
        found |= {
            f"data sets with both modes, {correction}": float(((share > 0.1) & (share < 0.9)).double().mean()),
            f"mode weight within 10 points, {correction}": float(within.double().mean()),
            f"mean error of a mode's weight, {correction}": float((share - 0.5).abs().mean()),
            f"the same where modes are far apart, {correction}": float((share[apart] - 0.5).abs().mean()),
        }
    diagnoses = guide.diagnose(data[:20])
    assert isinstance(diagnoses, list)
    found["effective draws"] = sum(one.ess_fraction for one in diagnoses) / 20
    return found | against_nuts(guide, model, [data[:5]])


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("what", choices=("regression", "squares", "sensors"))
    parser.add_argument("--seconds", type=float, default=300.0, help="limit of the training")
    parser.add_argument("--out", type=Path, help="a JSON file for the figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", FutureWarning)
    if arguments.what == "regression":
        found = run_regression(arguments.seconds)
    elif arguments.what == "squares":
        found = run_two_modes(squares, "z", 0, arguments.seconds, torch.ones(1))
    else:
        found = run_two_modes(sensors, "place", 1, arguments.seconds, torch.ones(1, 2))
    for name, value in found.items():
        print(f"{name:<55}{value:.4g}" if math.isfinite(value) else f"{name:<55}{value}")
    if arguments.out:
        write_json(arguments.out, found)


if __name__ == "__main__":
    main()
