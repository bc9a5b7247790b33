"""The default fit against reference draws that others made: seven real posteriors of posteriordb, no knobs turned.

    python benchmarks/posteriordb.py --data DIR --seeds 0 1 2 --out runs/posteriordb.md
    python benchmarks/posteriordb.py --data DIR --only arK --method nuts

`DIR` holds one JSON file a posterior: `parameters` (name -> mean, sd, q05, q50, q95 of the reference draws) and `data`.
A row passes when all of these hold, over all parameters:

- |mean error| ≤ 0.15 reference sd;
- the sd ratio is within 0.8–1.25;
- the errors of the 5, 50 and 95 % quantiles are ≤ 0.2 reference sd;
- the fit took at most 120 s.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from posteriordb_models import MODELS
from support import parser_of
from torch import Tensor

MEAN_ERROR, SD_RATIO, QUANTILE_ERROR, SECONDS = 0.15, (0.8, 1.25), 0.2, 120.0
QUANTILES = {"q05": 0.05, "q50": 0.5, "q95": 0.95}
DRAWS = 4_000
HEADER = (
    "| posterior | seed | worst mean error / sd | worst sd ratio | worst quantile error / sd | seconds | verdict | |\n"
    "|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Row:
    """The worst parameter of one fit by each measure; errors in reference standard deviations."""

    posterior: str
    seed: int
    mean_error: float
    sd_ratio: float
    quantile_error: float
    seconds: float
    verdict: str

    @property
    def passed(self) -> bool:
        return (
            self.mean_error <= MEAN_ERROR
            and SD_RATIO[0] <= self.sd_ratio <= SD_RATIO[1]
            and self.quantile_error <= QUANTILE_ERROR
            and self.seconds <= SECONDS
        )

    def __str__(self) -> str:
        return (
            f"| {self.posterior} | {self.seed} | {self.mean_error:.3f} | {self.sd_ratio:.3f} "
            f"| {self.quantile_error:.3f} | {self.seconds:.0f} | {self.verdict} | {'pass' if self.passed else 'MISS'} |"
        )


def arguments(name: str, data: dict[str, Any]) -> tuple[Any, ...]:
    """The model's arguments: lists as float32 tensors, numbers as they are."""
    values = (data[field] for field in MODELS[name][1])
    return tuple(torch.tensor(value, dtype=torch.float32) if isinstance(value, list) else value for value in values)


def by_parameter(sites: dict[str, Tensor], names: list[str]) -> dict[str, Tensor]:
    """Draws ``(N,)`` under each reference name: ``beta[2]`` is the second column of site ``beta``."""
    draws = {}
    for name in names:
        site, _, index = name.partition("[")
        value = sites[site].double().cpu().flatten(1) if index else sites[site].double().cpu().reshape(-1, 1)
        draws[name] = value[:, int(index.rstrip("]")) - 1 if index else 0]
    return draws


def compare(posterior: str, seed: int, reference: dict[str, Any], fitted: tuple[dict[str, Tensor], float, str]) -> Row:
    """The worst errors of draws against the reference's moments and quantiles."""
    sites, seconds, verdict = fitted
    mean_error, quantile_error, ratios = [], [], []
    for name, draws in by_parameter(sites, list(reference)).items():
        truth = reference[name]
        mean_error.append(abs(draws.mean().item() - truth["mean"]) / truth["sd"])
        ratios.append(draws.std().item() / truth["sd"])
        for label, level in QUANTILES.items():
            quantile_error.append(abs(draws.quantile(level).item() - truth[label]) / truth["sd"])
    worst_ratio = max(ratios, key=lambda ratio: max(ratio, 1 / ratio))
    return Row(posterior, seed, max(mean_error), worst_ratio, max(quantile_error), seconds, verdict)


def fit_guide(model: Any, args: tuple[Any, ...], seed: int) -> tuple[dict[str, Tensor], float, str]:
    """Draws, seconds of fitting and verdict of the default guide."""
    from amortized import DiffusionGuide

    started = time.perf_counter()
    guide = DiffusionGuide(model, seed=seed, progress=False).fit(*args)
    seconds = time.perf_counter() - started
    return guide.sample(DRAWS), seconds, guide.diagnose().verdict


def run_nuts(model: Any, args: tuple[Any, ...], seed: int) -> tuple[dict[str, Tensor], float, str]:
    """Draws, seconds and R-hat of four NUTS chains on the same density: what the models are checked with."""
    from amortized.baselines import nuts
    from amortized.targets.pyro.target import PyroTarget

    draws = nuts.run(PyroTarget(model, args), seed=seed, full_mass=True)
    verdict = f"R-hat {draws.attributes['rhat']:.3f}, {draws.attributes['divergences']} divergences"
    return draws.sites, draws.seconds, verdict


METHODS = {"guide": fit_guide, "nuts": run_nuts}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of JSON files")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=sorted(MODELS), default=sorted(MODELS))
    parser.add_argument("--method", choices=sorted(METHODS), default="guide")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    lines = [HEADER]
    print(HEADER, flush=True)
    passed = 0
    for name in options.only:
        content = json.loads((options.data / f"{name}.json").read_text())
        for seed in options.seeds:
            fitted = METHODS[options.method](MODELS[name][0], arguments(name, content["data"]), seed)
            row = compare(name, seed, content["parameters"], fitted)
            passed += row.passed
            lines.append(str(row))
            print(row, flush=True)
            if options.out:
                options.out.parent.mkdir(parents=True, exist_ok=True)
                options.out.write_text("\n".join(lines) + "\n")
    print(f"\n{passed} of {len(lines) - 1} passed")


if __name__ == "__main__":
    main()
