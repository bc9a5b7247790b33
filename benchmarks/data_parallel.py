"""Two processes of batch B beside one of 2B: the same answer, and what a step costs.

    torchrun --nproc-per-node 2 benchmarks/data_parallel.py --batch 512
    python benchmarks/data_parallel.py --batch 1024
    python benchmarks/data_parallel.py --table

The model is the regression of ``amortized_regression.py``: three coefficients, posteriors and log Z in closed form. The
steps of both stages are planned by number. The time of a step is the median of its processor seconds in process 0. On
cores of their own the processes take theirs side by side. Each run adds a line to ``results/data_parallel.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

import torch
from amortized_regression import DESIGN, NOISE, exact, regression, simulated
from torch import Tensor, nn

from amortized import DiffusionGuide, Recipe
from amortized._types import TrainingStep
from amortized.amortization import gaussian
from amortized.amortization.training import for_contexts
from amortized.objectives import Objective
from amortized.parallel.group import together
from amortized.training import loop
from amortized.training.loop import Schedule

RESULTS = Path(__file__).parent / "results" / "data_parallel.jsonl"
STEPS = {"bridges": 200, "paths": 100}
GAUSSIAN_STEPS = 1_000
JUDGED, DRAWS = 50, 1_000
SECONDS = 900.0
"""More than all steps take: the clock then ends nothing."""


def recipe(batch: int) -> Recipe:
    """The recipe of many data sets with a number of steps, judged at the end alone."""
    steps = {"bridge_steps": STEPS["bridges"], "steps": STEPS["paths"], "every": 10_000, "always": True}
    base = for_contexts(Recipe(batch=batch))
    return Recipe(**{**vars(base), **steps, "bridge_batch": 2 * batch, "in_time": False})


def timed_steps(seconds: dict[str, list[float]]) -> None:
    """Note the processor seconds of every step of both stages."""
    inner = loop.optimise

    def optimise(parts: nn.ModuleDict, loss: Callable, schedule: Schedule, objective: Objective | None = None) -> bool:
        stage = seconds.setdefault("bridges" if objective is None else "paths", [])
        last = [time.process_time()]

        def note(step: TrainingStep) -> bool:
            now = time.process_time()
            stage.append(now - last[0])
            last[0] = now
            return False

        return inner(parts, loss, replace(schedule, callbacks=[*schedule.callbacks, note]), objective)

    loop.optimise = optimise


def log_evidence(y: Tensor) -> Tensor:
    """Of data sets ``(M, 20)``, in closed form."""
    x = DESIGN.double()
    covariance = x @ x.mT + NOISE**2 * torch.eye(len(x)).double()
    return torch.distributions.MultivariateNormal(torch.zeros(len(x)).double(), covariance).log_prob(y.double())


def errors(guide: DiffusionGuide) -> dict[str, float]:
    """Of uncorrected draws: means in posterior std, stds in per cent, log Z in nats, all root mean square."""
    torch.manual_seed(1_000)
    _, y = simulated(JUDGED)
    means, covariance = exact(y)
    stds = covariance.diagonal().sqrt()
    draws = guide.sample(DRAWS, y, correction="none")["weights"].detach().double()
    log_z = torch.logsumexp(guide.log_weights(DRAWS, y).detach().double(), 0) - torch.log(torch.tensor(DRAWS))
    return {
        "means": float(((draws.mean(1) - means) / stds).square().mean().sqrt()),
        "stds": float((draws.std(1) / stds - 1).square().mean().sqrt()),
        "log_z": float((log_z - log_evidence(y)).square().mean().sqrt()),
    }


def run(batch: int, seed: int) -> None:
    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = {}
    timed_steps(seconds)
    gaussian.STEPS = GAUSSIAN_STEPS
    with together() as group:
        torch.manual_seed(seed)
        guide = DiffusionGuide(
            regression, amortize="y", recipe=recipe(batch), seed=seed, max_seconds=SECONDS, progress=False
        )
        began = time.process_time()
        guide.fit(simulated(1)[1])
        spent = time.process_time() - began
        found = errors(guide)
    if group.ranks.rank == 0:
        steps = {name: median(times) for name, times in seconds.items() if name in STEPS}
        record = {"ranks": group.ranks.size, "batch": batch, "seed": seed, **found, "steps": steps, "fit": spent}
        record["gaussian"] = f"{GAUSSIAN_STEPS:,} steps"
        with RESULTS.open("a") as stream:
            stream.write(json.dumps(record) + "\n")
        print(record)


def table() -> None:
    records = [json.loads(line) for line in RESULTS.read_text().splitlines()]
    print("| processes | batch of each | seed | Gaussian | means, std | stds | log Z, nats | ms, bridges | ms, paths |")
    print("|---|---|---|---|---|---|---|---|---|")
    for one in records:
        found = " | ".join(f"{one[name]:.4f}" for name in ("means", "stds", "log_z"))
        steps = " | ".join(f"{1_000 * one['steps'][name]:.1f}" for name in STEPS)
        print(f"| {one['ranks']} | {one['batch']:,} | {one['seed']} | {one['gaussian']} | {found} | {steps} |")


if __name__ == "__main__":
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--batch", type=int, default=512, help="paths of a training step of each process")
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--table", action="store_true", help="print the results that are there")
    options = asked.parse_args()
    table() if options.table else run(options.batch, options.seed)
