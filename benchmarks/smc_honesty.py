"""Is the standard error of tempered SMC's log Z honest? Twenty runs each on Manywell-32 and the breast-cancer model.

    python benchmarks/smc_honesty.py --jobs 16        # table, and benchmarks/results/smc/honesty.json

Printed for each model:

- the mean of log Z over the runs, beside the truth;
- the spread of the runs (their standard deviation) and the mean reported error;
- the ratio of the two, which should lie within a factor of 1.5: the spread of 20 runs is itself known to 16 %;
- how many runs lie within 3 of their own errors of the truth.
"""

from __future__ import annotations

import multiprocessing
import statistics
from functools import partial
from pathlib import Path
from typing import Any

import torch
from support import MODELS, RESULTS, parser_of, write_json

from amortized.baselines import smc
from amortized.benchmark.machine import provenance
from amortized.benchmark.truth import load_problem
from amortized.diagnostics.comparison import aligned

NAMES = ("many_well", "breast_cancer")
OUT = RESULTS / "smc" / "honesty.json"


def one(task: tuple[str, int], particles: int, islands: int) -> dict[str, Any]:
    name, seed = task
    torch.set_num_threads(1)
    posed = load_problem(MODELS / f"{name}.py")
    draws = smc.run(posed.target, particles=particles, islands=islands, seed=seed)
    assert draws.log_evidence is not None and posed.log_evidence is not None
    return {
        "model": name,
        "seed": seed,
        "truth": posed.log_evidence.value,
        "log_evidence": draws.log_evidence.value,
        "std_error": draws.log_evidence.std_error,
        "seconds": draws.seconds,
        "target_calls": draws.target_calls,
    }


def summary(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    values = [run["log_evidence"] for run in runs]
    truth, claimed = runs[0]["truth"], statistics.mean(run["std_error"] for run in runs)
    spread = statistics.stdev(values)
    near = sum(abs(run["log_evidence"] - truth) < 3 * run["std_error"] for run in runs)
    return {
        "model": name,
        "truth": truth,
        "mean": statistics.mean(values),
        "spread": spread,
        "mean_std_error": claimed,
        "ratio": spread / claimed,
        "within_three_errors": near,
        "runs": len(runs),
        "seconds": statistics.mean(run["seconds"] for run in runs),
        "target_calls": statistics.mean(run["target_calls"] for run in runs),
    }


def table(rows: list[dict[str, Any]]) -> str:
    head = ["", "truth", "mean", "spread", "mean error", "spread / error", "within 3 errors", "seconds", "calls"]
    body = [
        [
            row["model"],
            *(f"{row[name]:.3f}" for name in ("truth", "mean", "spread", "mean_std_error", "ratio")),
            f"{row['within_three_errors']} of {row['runs']}",
            f"{row['seconds']:.1f}",
            f"{row['target_calls']:,.0f}",
        ]
        for row in rows
    ]
    return aligned([head, *body])


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--models", nargs="+", default=list(NAMES))
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--particles", type=int, default=2_048)
    parser.add_argument("--islands", type=int, default=8)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    tasks = [(name, seed) for name in options.models for seed in range(options.runs)]
    work = partial(one, particles=options.particles, islands=options.islands)
    with multiprocessing.get_context("spawn").Pool(options.jobs) as pool:
        runs = pool.map(work, tasks, chunksize=1)
    rows = [summary(name, [run for run in runs if run["model"] == name]) for name in options.models]
    print(table(rows))
    settings = {"particles": options.particles, "islands": options.islands}
    write_json(options.out, {**settings, **provenance(), "summary": rows, "runs": runs})


if __name__ == "__main__":
    main()
