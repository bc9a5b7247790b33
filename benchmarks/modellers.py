"""The default guide on the posteriors that modellers have, beside NUTS and SMC: error, seconds, verdicts.

    python benchmarks/modellers.py --out benchmarks/results/modellers/after.jsonl
    python benchmarks/modellers.py --method nuts smc chains --seeds 0 --out benchmarks/results/modellers/others.jsonl
    python benchmarks/modellers.py --model horseshoe --skip coordinates --out runs/without.jsonl
    python benchmarks/modellers.py --table benchmarks/results/modellers/after.jsonl

Every run is a fresh process of one thread with a limit of wall clock. Its result is one JSON line, so a killed script
goes on from its finished runs. Errors are in true standard deviations, the largest over all coordinates of all sites,
deterministic ones included (`modellers_truth.py`). NUTS and SMC get the coordinates in which the model is written. A
run of the guide holds when all of these do:

- |mean error| ≤ 0.15; sd ratios within 0.85–1.18; errors of the 5 and 95 % quantiles ≤ 0.2;
- the draws are trusted; fit and 4,000 draws take at most 120 s;
- log Z is within 0.1 nat or three of its errors, where the evidence is trusted.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from modellers_cases import CASES, Case
from modellers_table import table
from support import parser_of
from torch import Tensor

from amortized import DiffusionGuide, Recipe
from amortized.baselines import nuts, smc
from amortized.guide import single
from amortized.results import judged
from amortized.targets.pyro.target import PyroTarget
from amortized.training.recipe import Training
from amortized.warmup import run as warm_up_run
from amortized.warmup.starts import uniform_starts

DRAWS = 4_000
LIMIT = 200.0
"""Seconds of wall clock after which a run has no answer."""
CHAIN_SECONDS = 30.0
"""Of the library's chains alone: half of the default limit of a fit."""
NUTS = 250
"""Draws of each chain of NUTS, and its moves of warm-up. A thousand of each took over 150 s on 12 of 13 models."""
CONSTANT = 1e-9
"""True sd under which a coordinate is a constant, as the first entry of a correlation's factor."""
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {"none": lambda x: x, "log": torch.log, "asinh": torch.asinh}
SKIPS: dict[str, dict[str, Any]] = {
    "coordinates": {"coordinates": "centred"},
    "chains": {},
    "best": {},
    "effort": {"recipe": Recipe()},
    "straightening": {},
    "repair": {},
}
"""What a part of the default is worth: the options that switch it off, or nothing where `switch_off` does it."""


def errors(sites: Mapping[str, Tensor], known: Mapping[str, Any]) -> dict[str, Any]:
    """The largest errors of draws ``{site: (N, *event)}``, in true stds, and the site where the mean is worst."""
    worst: dict[str, Any] = {"mean_error": 0.0, "sd_low": math.inf, "sd_high": 0.0, "quantile_error": 0.0, "worst": ""}
    for name, truth in known["sites"].items():
        if name not in sites:
            continue
        draws = FUNCTIONS[truth["transform"]](sites[name].double().cpu()).reshape(len(sites[name]), -1)
        mean, sd, low, high = (torch.tensor(truth[key], dtype=torch.float64) for key in ("mean", "sd", "q05", "q95"))
        moves = sd > CONSTANT
        draws, mean, sd, low, high = draws[:, moves], mean[moves], sd[moves], low[moves], high[moves]
        if not bool(draws.isfinite().all()):
            return {
                "mean_error": math.inf,
                "sd_low": 0.0,
                "sd_high": math.inf,
                "quantile_error": math.inf,
                "worst": name,
            }
        off = ((draws.mean(0) - mean) / sd).abs().max().item()
        ratio = draws.std(0) / sd
        quantiles = draws.quantile(torch.tensor([0.05, 0.95], dtype=torch.float64), dim=0)
        beyond = ((quantiles - torch.stack([low, high])) / sd).abs().max().item()
        if off >= worst["mean_error"]:
            worst |= {"mean_error": off, "worst": name}
        worst["sd_low"] = min(worst["sd_low"], ratio.min().item())
        worst["sd_high"] = max(worst["sd_high"], ratio.max().item())
        worst["quantile_error"] = max(worst["quantile_error"], beyond)
    return worst


def switch_off(part: str) -> None:
    """Replace what no option switches off, in this process: the warm-up's chains, straight coordinates, or repair.

    Without "best", draws are those of paths, as before the chains had a say.
    """
    if part == "chains":
        warm_up_run.chains_within = lambda *_: None
    if part == "best":
        judged.Judged.chains = property(lambda _: None)  # pyright: ignore[reportAttributeAccessIssue]
    if part == "straightening":
        single.in_straight_coordinates = lambda made, untrained, *_: (made, untrained, "")
    if part == "repair":
        single.needs_repair = lambda *_: False


def run_guide(case: Case, seed: int, skip: Sequence[str]) -> dict[str, Any]:
    """The default guide: fit, 4,000 draws, both verdicts."""
    for part in skip:
        switch_off(part)
    options = {name: value for part in skip for name, value in SKIPS[part].items()}
    guide = DiffusionGuide(case.model, seed=seed, progress=False, **options)
    clock = Clock()
    guide.fit(*case.arguments)
    fit = clock.lap("fit")
    calls = guide.target.calls
    sites = guide.sample(DRAWS)
    drawn = clock.lap("draw")
    diagnosis = guide.diagnose()
    judged = clock.lap("judge")
    source = diagnosis.source
    effective = diagnosis.ess_fraction * DRAWS
    if diagnosis.checks.chains is not None:
        effective = min(float(DRAWS), diagnosis.checks.chains.ess)
    evidence = diagnosis.log_evidence
    return {
        **errors(sites, case.known),
        **against(case, evidence.value, evidence.std_error),
        "verdict": diagnosis.verdict,
        "evidence_verdict": getattr(diagnosis, "evidence_verdict", diagnosis.verdict),
        "source": source,
        "ess_fraction": diagnosis.ess_fraction,
        "effective": effective,
        **fit,
        **drawn,
        **judged,
        "fit_calls": calls,
        "calls": guide.target.calls,
        "training_steps": steps(guide.training_record),
        "coordinates": guide.coordinates,
    }


def steps(record: Training | None) -> int:
    """Training steps, of bridges and after."""
    return 0 if record is None else len(record.bridge_losses) + len(record.losses)


def run_nuts(case: Case, seed: int, skip: Sequence[str]) -> dict[str, Any]:
    """Four chains, one after the other."""
    clock = Clock()
    draws = nuts.run(PyroTarget(case.model, case.arguments), draws=NUTS, warmup=NUTS, seed=seed, jobs=1)
    said = f"R-hat {draws.attributes['rhat']:.3f}, {draws.attributes['divergences']} divergences"
    own = {"verdict": said, "effective": draws.attributes["ess"], "calls": draws.target_calls}
    return {**errors(draws.sites, case.known), **own, **clock.lap("fit")}


def run_smc(case: Case, seed: int, skip: Sequence[str]) -> dict[str, Any]:
    """Sequential Monte Carlo with the library's defaults."""
    clock = Clock()
    draws = smc.run(PyroTarget(case.model, case.arguments), seed=seed)
    evidence = draws.log_evidence
    assert evidence is not None
    own = {"verdict": "", "effective": draws.attributes["ess"], "calls": draws.target_calls}
    of_evidence = against(case, evidence.value, evidence.std_error)
    return {**errors(draws.sites, case.known), **of_evidence, **own, **clock.lap("fit")}


def run_library_chains(case: Case, seed: int, skip: Sequence[str]) -> dict[str, Any]:
    """The library's 64 chains alone, from dispersed starts, in the coordinates in which the model is written."""
    from amortized.mcmc.many_chains import CHAINS, run_chains

    clock, target = Clock(), PyroTarget(case.model, case.arguments)
    starts = uniform_starts(target, CHAINS, seed)
    chains = run_chains(target, starts, CHAIN_SECONDS, torch.Generator().manual_seed(seed))
    states = chains.draws.flatten(0, 1)
    sites = target.constrain(states[torch.randperm(len(states))[:DRAWS]].to(target.dtype))
    own = {"verdict": f"R-hat {chains.rhat:.3f}", "effective": chains.ess, "calls": target.calls}
    return {**errors(sites, case.known), **own, **clock.lap("fit")}


RUNS: dict[str, Callable[[Case, int, Sequence[str]], dict[str, Any]]] = {
    "guide": run_guide,
    "nuts": run_nuts,
    "smc": run_smc,
    "chains": run_library_chains,
}


class Clock:
    """Seconds of wall clock and of the processor since the last lap."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def lap(self, name: str) -> dict[str, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        passed = {f"{name}_seconds": wall - self.wall, f"{name}_cpu_seconds": cpu - self.cpu}
        self.wall, self.cpu = wall, cpu
        return passed


def against(case: Case, value: float, std_error: float) -> dict[str, Any]:
    """log Z and its error in nats; the truth's own error is part of the std error."""
    known = case.known["log_evidence"]
    off = {} if known is None else {"log_evidence_off": value - known[0]}
    return {"log_evidence": value, "log_evidence_std_error": math.hypot(std_error, known[1] if known else 0.0), **off}


def run_here(name: str, seed: int, method: str, skip: Sequence[str]) -> dict[str, Any]:
    """One run in this process."""
    torch.set_num_threads(1)
    return RUNS[method](CASES[name], seed, skip)


def run_apart(key: Mapping[str, Any], limit: float) -> dict[str, Any]:
    """One run in a process of its own, or why there is no answer."""
    command = [sys.executable, __file__, "--here", json.dumps(key)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=environment)
    except subprocess.TimeoutExpired:
        return {"failed": f"no answer in {limit:.0f} s"}
    if done.returncode:
        return {"failed": (done.stderr.strip() or "killed").splitlines()[-1][:300]}
    return {**json.loads(done.stdout.splitlines()[-1]), "process_seconds": time.perf_counter() - began}


def finished(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text().splitlines()] if out.exists() else []


def run_all(options: Any) -> None:
    keys = [
        {"model": name, "seed": seed, "method": method, "skip": options.skip}
        for method in options.method
        for seed in options.seeds
        for name in options.model
    ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    done = [{part: row[part] for part in ("model", "seed", "method", "skip")} for row in finished(options.out)]
    for key in keys:
        if key in done:
            continue
        row = {**key, **run_apart(key, options.limit)}
        with options.out.open("a") as file:
            file.write(json.dumps(digits(row)) + "\n")
        print(table([row], CASES).splitlines()[-1], flush=True)


def digits(row: Mapping[str, Any]) -> dict[str, Any]:
    """Floats with five digits."""
    return {name: float(f"{value:.5g}") if isinstance(value, float) else value for name, value in row.items()}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--model", nargs="+", choices=list(CASES), default=list(CASES), metavar="NAME")
    parser.add_argument("--method", nargs="+", choices=list(RUNS), default=["guide"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--skip", nargs="+", choices=list(SKIPS), default=[], help="parts of the default to switch off")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds a run may take")
    parser.add_argument("--out", type=Path, default=Path("runs/modellers.jsonl"), help="a line a run is added here")
    parser.add_argument("--table", type=Path, nargs="+", help="only write the table of these files")
    parser.add_argument("--here", type=json.loads, help="one run in this process, as JSON; for the script itself")
    options = parser.parse_args()
    if options.table:
        print(table([row for file in options.table for row in finished(file)], CASES))
    elif options.here:
        key = options.here
        found = run_here(key["model"], key["seed"], key["method"], key["skip"])
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({**found, "peak_mb": peak}))
    else:
        run_all(options)


if __name__ == "__main__":
    main()
