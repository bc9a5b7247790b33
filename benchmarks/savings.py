"""What easy posteriors cost, before and after: CPU seconds of a default fit and of 4,000 draws, and their accuracy.

    python benchmarks/savings.py --data DIR --out benchmarks/results/savings/after.jsonl
    PYTHONPATH=OLD python benchmarks/savings.py --data DIR --out benchmarks/results/savings/before.jsonl
    python benchmarks/savings.py --table benchmarks/results/savings/before.jsonl benchmarks/results/savings/after.jsonl

`DIR` holds the seven posteriors of `posteriordb.py`; `OLD` is a checkout of an earlier commit. The six other models are
those of `models/`. The error is the largest of the means and the 5, 50 and 95 % quantiles in reference sds, or that of
log Z in nats. Every fit is a process of its own with one thread.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from posteriordb import DRAWS, arguments, compare
from posteriordb_models import MODELS as POSTERIORS
from support import MODELS, markdown_row, parser_of

OWN = ("eight_schools", "kidscore", "two_sensors", "gaussian_mixture_25", "breast_cancer", "seeds")
"""Of ``models/``, with a log evidence that is known."""
LIMIT = 400
"""Seconds after which a fit is given up."""


def timed_fit(model: Any, args: tuple, seed: int) -> tuple[Any, dict[str, torch.Tensor], dict[str, Any]]:
    """The guide, its draws, and what they cost."""
    from amortized import DiffusionGuide

    began = time.process_time()
    guide = DiffusionGuide(model, seed=seed, progress=False).fit(*args)
    fitted = time.process_time()
    sites = guide.sample(DRAWS)
    drawn = time.process_time()
    verdict = guide.diagnose().verdict
    return guide, sites, {"fit": fitted - began, "draw": drawn - fitted, "verdict": verdict}


def run_here(name: str, seed: int, data: Path) -> dict[str, Any]:
    """One posterior in this process."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if name in POSTERIORS:
        content = json.loads((data / f"{name}.json").read_text())
        _, sites, cost = timed_fit(POSTERIORS[name][0], arguments(name, content["data"]), seed)
        row = compare(name, seed, content["parameters"], (sites, cost["fit"], cost["verdict"]))
        return {**cost, "error": max(row.mean_error, row.quantile_error)}
    spec = importlib.util.spec_from_file_location(name, MODELS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    given = module.data() if hasattr(module, "data") else ()
    guide, _, cost = timed_fit(module.model, given if isinstance(given, tuple) else (given,), seed)
    evidence = guide.log_evidence()
    return {**cost, "error": abs(evidence.value - module.LOG_EVIDENCE[0]), "std_error": evidence.std_error}


def run_all(data: Path, seeds: list[int], out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    done = [(row["name"], row["seed"]) for row in rows_of(out)]
    for seed in seeds:
        for name in [*sorted(POSTERIORS), *OWN]:
            if (name, seed) in done:
                continue
            command = [sys.executable, __file__, "--data", str(data), "--here", name, "--seeds", str(seed)]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            told = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=environment, check=True)
            row = {"name": name, "seed": seed, **json.loads(told.stdout.splitlines()[-1])}
            with out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def table(before: Path, after: Path) -> str:
    """A line for each fit that is in both files, and the totals."""
    old, new = ({(row["name"], row["seed"]): row for row in rows_of(file)} for file in (before, after))
    head = ["posterior", "seed", "before: fit + draws", "error", "verdict", "after: fit + draws", "error", "verdict"]
    lines, totals = [markdown_row(head), markdown_row(["---"] * len(head))], [0.0, 0.0]
    for key in [key for key in old if key in new]:
        cells: list[Any] = list(key)
        for index, row in enumerate((old[key], new[key])):
            totals[index] += row["fit"] + row["draw"]
            unit = "sd" if key[0] in POSTERIORS else "nats"
            cells += [f"{row['fit']:.1f} + {row['draw']:.1f}", f"{row['error']:.3f} {unit}", row["verdict"]]
        lines.append(markdown_row(cells))
    share = totals[1] / totals[0]
    return "\n".join([*lines, "", f"In total {totals[0]:.0f} s before, {totals[1]:.0f} s after: {share:.0%}."])


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--data", type=Path, help="folder of the JSON files of posteriordb")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--out", type=Path, default=Path("runs/savings.jsonl"), help="a line a fit is added here")
    parser.add_argument("--table", type=Path, nargs=2, metavar=("BEFORE", "AFTER"), help="only write the table")
    parser.add_argument("--here", help="one posterior in this process; for the script itself")
    options = parser.parse_args()
    if options.table:
        print(table(*options.table))
    elif options.here:
        print(json.dumps(run_here(options.here, options.seeds[0], options.data)))
    else:
        run_all(options.data, options.seeds, options.out)


if __name__ == "__main__":
    main()
