"""Posteriors whose density takes 5 ms a particle: calls, seconds and errors of the guide, pocoMC and nautilus.

    python benchmarks/slow_densities.py guide --models two_sensors lotka_volterra --seconds 60 300 --seeds 0 1 2
    python benchmarks/slow_densities.py guide --models two_sensors --seconds 300 --sleep
    python benchmarks/slow_densities.py nautilus pocomc      # in an environment that has them
    python benchmarks/slow_densities.py table

The 5 ms are not slept, unless `--sleep` says so: the clocks that the guide reads are moved on by 5 ms a particle, in
plain runs of the model too. The peers' likelihood is the same one in numpy, without a wait. Their seconds are their own
and 5 ms a call. Every run is a file in `benchmarks/results/slow`.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import time
import warnings

import numpy as np
from slow_cases import CASES, RESULTS, moments, truth
from slow_peers import PEERS

DRAWS = 4_000
PACE = 5e-3
HEADER = """| model | method | calls | seconds at 5 ms | own CPU s | log Z error | means | stds | trusted |
|---|---|---|---|---|---|---|---|---|"""


def errors(name: str, found: dict, x: np.ndarray, weights: np.ndarray) -> dict:
    """Errors in units of the truth's stds."""
    exact, mine = truth(name), moments(x, weights)
    std = np.array(exact["std"])
    ratio = np.array(mine["std"]) / std
    return {
        "mean_error": float(np.abs((np.array(mine["mean"]) - exact["mean"]) / std).max()),
        "std_ratios": [float(ratio.min()), float(ratio.max())],
        "log_evidence_error": found["log_evidence"] - exact["log_evidence"],
        "std_error": found["std_error"],
    }


def guide(name: str, max_seconds: float, seed: int, sleeps: bool) -> dict:
    from slow_models import MODELS, WAITING, moved_clock

    from amortized import DiffusionGuide

    before, cpu = WAITING.particles, time.process_time()
    with contextlib.nullcontext() if sleeps else moved_clock():
        began = time.perf_counter()
        fitted = DiffusionGuide(MODELS[name], max_seconds=max_seconds, seed=seed, progress=False).fit()
        fit_seconds, fit_calls = time.perf_counter() - began, WAITING.particles - before
        draws, verdict = fitted.sample(DRAWS), fitted.diagnose()
        seconds = time.perf_counter() - began
    x = np.concatenate([value.reshape(DRAWS, -1).double().numpy() for value in draws.values()], 1)
    evidence = fitted.log_evidence()
    found = {"log_evidence": evidence.value, "std_error": evidence.std_error}
    return {
        "method": f"guide, max_seconds={max_seconds:g}" + (", slept" if sleeps else ""),
        "calls": WAITING.particles - before,
        "fit_calls": fit_calls,
        "seconds": seconds,
        "fit_seconds": fit_seconds,
        "cpu_seconds": time.process_time() - cpu,
        **errors(name, found, x, np.ones(len(x))),
        "verdict": verdict.verdict,
        "evidence_verdict": verdict.evidence_verdict,
        "cut_short": verdict.checks.cut_short,
    }


def peer(which: str, name: str, seed: int) -> dict:
    cpu = time.process_time()
    found = PEERS[which][1](CASES[name], seed)
    spent = time.process_time() - cpu
    return {
        "method": which,
        "calls": found["calls"],
        "seconds": PACE * found["calls"] + spent,
        "cpu_seconds": spent,
        **errors(name, found, found["x"], found["weights"]),
        "verdict": "has no verdict",
    }


def kept(name: str, seed: int, record: dict) -> None:
    """Write a run, and print its row."""
    label = "".join(letter if letter.isalnum() else "_" for letter in record["method"])
    record = {"model": name, "seed": seed, **record}
    (RESULTS / f"{name}__{label}__{seed}.json").write_text(json.dumps(record, indent=1) + "\n")
    print(row(record), flush=True)


def row(record: dict) -> str:
    low, high = record["std_ratios"]
    cells = [
        f"{record['model']}, seed {record['seed']}",
        record["method"],
        f"{record['calls']:,}",
        f"{record['seconds']:.0f}",
        f"{record['cpu_seconds']:.0f}",
        f"{record['log_evidence_error']:+.3f} ± {record['std_error']:.3f}",
        f"{record['mean_error']:.2f}",
        f"{low:.2f}–{high:.2f}",
        record["verdict"] + (" (says: cut short)" if record.get("cut_short") else ""),
    ]
    return f"| {' | '.join(cells)} |"


def table() -> None:
    records = [json.loads(file.read_text()) for file in RESULTS.glob("*__*.json")]
    print(HEADER)
    for record in sorted(records, key=lambda each: (each["model"], each["method"], each["seed"])):
        print(row(record))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=["guide", *PEERS, "table"])
    parser.add_argument("--models", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--seconds", nargs="+", type=float, default=[60.0, 300.0], help="max_seconds of the guide")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--sleep", action="store_true", help="sleep in earnest")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    if "table" in asked.what:
        return table()
    for what in asked.what:
        package = PEERS[what][0] if what in PEERS else "amortized"
        if importlib.util.find_spec(what if what in PEERS else package) is None:
            print(f"{what} is not installed: pip install {package}")
            continue
        for name in asked.models:
            for seed in asked.seeds:
                if what in PEERS:
                    kept(name, seed, peer(what, name, seed))
                else:
                    for seconds in asked.seconds:
                        kept(name, seed, guide(name, seconds, seed, asked.sleep))


if __name__ == "__main__":
    main()
