"""The guide beside the old methods on five models, one cell a call, and the table of them all.

    python benchmarks/baselines.py eight_schools --method smc --seed 0 --out results/eight_schools__smc.json
    python benchmarks/baselines.py --table results          # markdown, from the JSON files of that folder

Each cell runs on one thread and is given the same density. What is reported, for the draws as the method returns them
(the guide's resampled, a variational method's its own, not corrected):

- `error`: the largest distance, over coordinates of unconstrained space, between the distribution function of the draws
  and that of exact ones (Kolmogorov and Smirnov's): 0 is none, 1 all on the wrong side; 4,000 exact draws give about
  0.02 to 0.03, and MCMC as much as so many draws as its `ess`. Exact draws are the model file's own, 20,000; for
  breast_cancer, which has none, 64 chains of long HMC with another seed.
- `modes`: the largest error of a mode's weight, where the model file names its modes.
- `log_evidence`, its standard error, and what it is off by from the truth.
- `seconds` of wall clock, building the density counted; `energy_calls`, one a particle.
- `ess`, effective draws: of MCMC, the smallest over coordinates; of SVI, of the importance weights `R / q`; of nested
  sampling, of its weights; of SMC, the families of first particles (a lower bound); of the guide, draws times the
  effective share of its path weights. A chain that never leaves one mode has many by this count: read `error` first.
- `per_second`: `ess` over all seconds, training and warm-up counted; `per_second_after`: over the seconds of drawing
  alone, when training (guide, SVI) or warm-up (NUTS, taken to cost as much a step as a draw) is done. SMC and nested
  sampling start anew each time.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from pyro.infer.autoguide import AutoIAFNormal, AutoNormal
from support import MODELS, markdown_row, parser_of, write_json
from torch import Tensor

from amortized import DiffusionGuide, MixtureGuide
from amortized.baselines import hmc, nested, nuts, smc, svi
from amortized.benchmark.machine import provenance
from amortized.benchmark.truth import Problem, load_problem
from amortized.files.model import load
from amortized.metrics.modes import largest_mode_weight_error
from amortized.results.draws import Draws
from amortized.targets.pyro.target import PyroTarget
from amortized.weights import effective_sample_fraction

NAMES = ("eight_schools", "breast_cancer", "gaussian_mixture_25", "funnel", "two_sensors")
DRAWS = 4_000
EXACT_DRAWS = 20_000

Cell = tuple[Draws, float]
"""Draws with all that they cost, and the seconds that drawing more of them would take."""


def run_guide(path: Path, seed: int, budget: float, kind: type[DiffusionGuide] = DiffusionGuide) -> Cell:
    file = load(path)
    began = time.perf_counter()
    guide = kind(file.model, seed=seed, max_seconds=60.0 * budget, progress=False)
    guide.fit(*file.args, **file.kwargs)
    evidence = guide.log_evidence()
    fitted = time.perf_counter() - began
    draws = guide.at().draws(DRAWS, verdict=False)
    seconds = time.perf_counter() - began
    share = effective_sample_fraction(guide.log_weights(DRAWS))
    found = Draws(
        sites=draws.sites,
        method="guide" if kind is DiffusionGuide else kind.__name__,
        states=draws.states,
        target=guide.at().target,
        log_evidence=evidence,
        seconds=seconds,
        target_calls=guide.target.calls,
        attributes={"ess": share * DRAWS, "verdict": guide.diagnose().verdict},
    )
    return found, seconds - fitted


def run_nuts(path: Path, seed: int, budget: float) -> Cell:
    file = load(path)
    steps = max(int(1_000 * budget), 20)
    draws = nuts.run(file.model, file.args, file.kwargs, draws=steps, warmup=steps, jobs=1, seed=seed)
    return draws, draws.seconds / 2


def run_smc(path: Path, seed: int, budget: float) -> Cell:
    file = load(path)
    draws = smc.run(file.model, file.args, file.kwargs, particles=max(int(2_048 * budget), 32), seed=seed)
    return draws, draws.seconds


def run_nested(path: Path, seed: int, budget: float) -> Cell:
    """Fewer live points above 20 dimensions, where a new point costs some two hundred calls."""
    file = load(path)
    began = time.perf_counter()
    target = PyroTarget(file.model, file.args, file.kwargs)
    live_points = max(int((500 if target.dim <= 20 else 150) * budget), 20)
    calls = int(3_000_000 * budget)
    draws = nested.run(target, live_points=live_points, draws=DRAWS, max_calls=calls, seed=seed)
    draws = replace(draws, seconds=time.perf_counter() - began)
    return draws, draws.seconds


def run_svi(path: Path, seed: int, budget: float, guide: Callable) -> Cell:
    file = load(path)
    steps = max(int(8_000 * budget), 20)
    draws = svi.run(file.model, file.args, file.kwargs, guide=guide, steps=steps, draws=DRAWS, seed=seed)
    return draws, draws.seconds - float(draws.attributes["fit_seconds"])


METHODS: dict[str, Callable[[Path, int, float], Cell]] = {
    "guide": run_guide,
    "MixtureGuide": partial(run_guide, kind=MixtureGuide),
    "nuts": run_nuts,
    "smc": run_smc,
    "nested": run_nested,
    "AutoNormal": partial(run_svi, guide=AutoNormal),
    "AutoIAFNormal": partial(run_svi, guide=AutoIAFNormal),
}


def exact(posed: Problem, budget: float) -> Tensor:
    """Draws ``(N, D)`` of the truth: the model file's own, or long chains."""
    if posed.sample is not None:
        return posed.sample(EXACT_DRAWS, 1_000_003)
    draws = hmc.run(posed.target, warmup=max(int(400 * budget), 8), draws=max(int(500 * budget), 8), seed=1_000_003)
    assert draws.states is not None
    return draws.states


def largest_distance(x: Tensor, y: Tensor) -> float:
    """``max over coordinates and t of |F_x(t) − F_y(t)|`` of ``x: (N, D)`` and ``y: (M, D)``."""
    largest = 0.0
    for ours, truth in zip(x.double().mT.contiguous(), y.double().mT.contiguous(), strict=True):
        at = torch.cat([ours, truth])
        first = torch.searchsorted(ours.sort().values, at, right=True) / len(ours)
        second = torch.searchsorted(truth.sort().values, at, right=True) / len(truth)
        largest = max(largest, float((first - second).abs().max()))
    return largest


def run_cell(name: str, method: str, seed: int, budget: float) -> dict[str, Any]:
    torch.set_num_threads(1)
    path = MODELS / f"{name}.py"
    draws, drawing_seconds = METHODS[method](path, seed, budget)
    posed = load_problem(path)
    assert draws.states is not None and posed.log_evidence is not None
    evidence, modes = draws.log_evidence, None
    if posed.mode is not None and posed.mode_weights is not None:
        modes = largest_mode_weight_error(posed.mode(draws.states), posed.mode_weights)
    ess = float(draws.attributes["ess"])
    record = {
        "model": name,
        "method": method,
        "seed": seed,
        "budget": budget,
        "error": largest_distance(draws.states, exact(posed, budget)),
        "modes": modes,
        "log_evidence": None if evidence is None else evidence.value,
        "std_error": None if evidence is None else evidence.std_error,
        "evidence_error": None if evidence is None else evidence.value - posed.log_evidence.value,
        "seconds": draws.seconds,
        "energy_calls": draws.target_calls,
        "ess": ess,
        "per_second": ess / draws.seconds,
        "per_second_after": ess / drawing_seconds,
        "attributes": draws.attributes,
        **provenance(),
    }
    return finite(record)


def finite(value: Any) -> Any:
    """Records without the numbers that JSON does not have: ``None`` for infinities and what is not a number."""
    if isinstance(value, dict):
        return {name: finite(entry) for name, entry in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(folder: Path) -> str:
    """Markdown: a part for each model, a row for each method, the mean over seeds."""
    cells = [json.loads(file.read_text()) for file in sorted(folder.glob("*.json"))]
    parts = []
    for name in NAMES:
        rows = [[cell for cell in cells if (cell["model"], cell["method"]) == (name, method)] for method in METHODS]
        if any(rows):
            parts.append(f"### {name}\n\n{HEAD}\n" + "\n".join(row(found) for found in rows if found))
    return "\n\n".join(parts)


HEAD = (
    "| method | error | modes | log Z ± se | off by | seconds | energy calls | draws/s, all | draws/s, drawing |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def row(cells: list[dict[str, Any]]) -> str:
    def mean(name: str) -> float | None:
        values = [cell[name] for cell in cells]
        return None if None in values else sum(values) / len(values)

    evidence, error = mean("log_evidence"), mean("std_error")
    entries = [
        cells[0]["method"],
        number(mean("error"), ".3f"),
        number(mean("modes"), ".3f"),
        "–" if evidence is None or error is None else f"{evidence:.3f} ± {error:.3f}",
        number(mean("evidence_error"), "+.3f"),
        number(mean("seconds"), ".0f"),
        number(mean("energy_calls"), ",.0f"),
        number(mean("per_second"), ".3g"),
        number(mean("per_second_after"), ".3g"),
    ]
    return markdown_row(entries)


def number(value: float | None, form: str) -> str:
    return "–" if value is None or not math.isfinite(value) else format(value, form)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("model", nargs="?", choices=NAMES)
    parser.add_argument("--method", choices=list(METHODS), default="guide")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=1.0, help="all steps, particles and seconds times this")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path, metavar="FOLDER")
    options = parser.parse_args()
    if options.table is not None:
        print(table(options.table))
        return
    if options.model is None:
        parser.error(f"name a model, one of {', '.join(NAMES)}, or write --table FOLDER")
    record = run_cell(options.model, options.method, options.seed, options.budget)
    if options.out is None:
        print(json.dumps(record, indent=1, allow_nan=False))
    else:
        write_json(options.out, record)


if __name__ == "__main__":
    main()
