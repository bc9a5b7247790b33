"""One training run of a figure: what it is, what it scored, and the file where finished runs are kept."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from amortized._types import Tensor
from amortized.benchmark import truth
from amortized.benchmark.budget import Budget
from amortized.benchmark.cells import plain
from amortized.benchmark.machine import machine, versions
from amortized.benchmark.measurement import EXACT_SEED, exact_log_weights
from amortized.benchmark.trained import Method, Trained
from amortized.metrics.modes import mode_weights
from amortized.weights import effective_sample_fraction, log_mean_exp

ROOT = Path(__file__).parents[2]
PATHS, SHOWN = 2_000, 1_000
TARGETS = {
    "models/gaussian_mixture_25.py": "25GMM",
    "models/many_well.py:32": "Manywell-32",
    "models/funnel.py": "Funnel",
}
Result = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """``method`` on ``model``, a file with its options, for processor ``seconds`` from ``seed``.

    ``setting``: what tells it from the other runs of its figure. ``keep``: coordinates of the draws to be kept.
    """

    model: str
    method: Method
    setting: dict[str, str | float]
    seconds: float
    seed: int
    keep: tuple[int, ...] = ()

    @property
    def target(self) -> str:
        """The target's name in figures."""
        return TARGETS.get(self.model, self.model)

    @property
    def identity(self) -> Result:
        """What a finished run is found again by."""
        return {"target": self.target, **self.setting, "seconds": self.seconds, "seed": self.seed}


def perform(run: Run) -> Result:
    """Train and measure: ``identity``, ``training``, ``metrics`` and ``draws``."""
    path, options = truth.parse(run.model)
    problem = truth.problem(ROOT / path, options)
    trained = run.method(problem.target, problem.scale, Budget(seconds=run.seconds, clock="process"), run.seed)
    draws, metrics = measure(problem, trained, run.seed)
    training = {"seconds": trained.seconds, "steps": trained.steps, "energy_calls": trained.energy_calls}
    kept = [[round(x, 2) for x in draws[:SHOWN, column].tolist()] for column in run.keep]
    return {"identity": run.identity, "training": training, "metrics": metrics, "draws": kept}


def measure(problem: truth.Problem, trained: Trained, seed: int) -> tuple[Tensor, Result]:
    """Draws ``(PATHS, D)`` of the sampler, and its scores; bounds in nats.

    ``delta`` = log Z − ELBO, ``rw`` = log Z − its estimate by path weights, ``gap`` = EUBO − ELBO; ``recall``: the
    share of modes visited over a tenth as often as they should be; ``mode_error`` = max |share − truth|.
    """
    assert problem.log_evidence is not None and problem.sample is not None
    generator = torch.Generator(trained.target.device).manual_seed(EXACT_SEED + 1 + seed)
    ends, log_weights = trained.sampler.sample(trained.target, PATHS, generator)
    backward = exact_log_weights(trained, problem.sample(PATHS, EXACT_SEED), generator)
    draws, elbo = trained.unwhiten(ends), float(log_weights.mean())
    metrics = {
        "delta": problem.log_evidence.value - elbo,
        "rw": problem.log_evidence.value - float(log_mean_exp(log_weights)),
        "gap": float(backward.mean()) - elbo,
        "ess_fraction": effective_sample_fraction(log_weights),
    }
    if problem.mode is not None and problem.mode_weights is not None:
        shares = mode_weights(problem.mode(draws), problem.mode_weights.shape[-1])
        metrics["recall"] = float((shares > 0.1 * problem.mode_weights).double().mean())
        metrics["mode_error"] = float((shares - problem.mode_weights).abs().max())
        metrics["first_mode_share"] = float(shares[..., 0].mean())
    return draws, metrics


def collect(file: Path, runs: Sequence[Run], command: str) -> Iterator[Result]:
    """The result of every run, those of ``file`` kept and the others performed; the file is whole after each."""
    finished = kept(file)
    for run in runs:
        known = [result for result in finished if result["identity"] == run.identity]
        if not known:
            known = [plain(perform(run))]
            finished += known
            write(file, {"command": command, "versions": versions(), "machine": machine(), "runs": finished})
        yield known[0]


def kept(file: Path) -> list[Result]:
    """The finished runs in ``file``; none where there is no file."""
    return json.loads(file.read_text())["runs"] if file.exists() else []


def write(file: Path, content: Result) -> None:
    """Write ``file`` whole or not at all; a run a line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    head = {name: part for name, part in content.items() if name != "runs"}
    lines = ",\n".join("  " + json.dumps(run, allow_nan=False) for run in content["runs"])
    temporary = file.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(head, indent=1)[:-2] + f',\n "runs": [\n{lines}\n ]\n}}\n')
    os.replace(temporary, file)
