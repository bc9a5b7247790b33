"""One training run of a figure: what it is, what it measured, and the file where finished runs are kept.

The runs are not cells of ``amortized bench``: a figure varies options that have no name on the command line, and
keeps draws. Training, paths and writing are the benchmark's own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import ROOT

from amortized.benchmark import truth
from amortized.benchmark.budget import Budget
from amortized.benchmark.machine import provenance
from amortized.benchmark.measurement import EXACT_SEED, SampledPaths, sample_paths
from amortized.benchmark.records import without_infinities, write_whole
from amortized.benchmark.trained import Method
from amortized.metrics.modes import mode_weights
from amortized.weights import effective_sample_fraction, log_mean_exp

PATHS, KEPT_DRAWS = 2_000, 1_000
"""Paths of a measurement, as of a cell; draws kept for a scatter plot, more of which would hide each other."""
MODELS = {
    "25GMM": "models/gaussian_mixture_25.py",
    "Manywell-32": "models/many_well.py:32",
    "Funnel": "models/funnel.py",
}
"""The paper's names of its targets."""
Result = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """``method`` on ``model``, a file with its options, for processor ``seconds`` from ``seed``.

    ``setting``: what tells the run from the others of its figure. ``keep``: coordinates of the draws to be kept.
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
        return next((name for name, model in MODELS.items() if model == self.model), self.model)

    @property
    def identity(self) -> Result:
        """What a finished run is found again by."""
        return {"target": self.target, **self.setting, "seconds": self.seconds, "seed": self.seed}


def perform(run: Run) -> Result:
    """Train and measure: ``identity``, ``training``, ``metrics`` and ``draws``."""
    path, options = truth.parse_model_argument(run.model)
    problem = truth.load_problem(ROOT / path, options)
    trained = run.method(problem.target, problem.scale, Budget(seconds=run.seconds, clock="process"), run.seed)
    paths = sample_paths(problem, trained, PATHS, EXACT_SEED + 1 + run.seed)
    training = {"seconds": trained.seconds, "steps": trained.steps, "energy_calls": trained.energy_calls}
    draws = [[round(x, 2) for x in paths.draws[:KEPT_DRAWS, column].tolist()] for column in run.keep]
    return {"identity": run.identity, "training": training, "metrics": metrics_of(problem, paths), "draws": draws}


def metrics_of(problem: truth.Problem, paths: SampledPaths) -> Result:
    """The paper's metrics; bounds in nats.

    ``delta`` = log Z − ELBO, ``rw`` = log Z − its estimate by path weights, ``gap`` = EUBO − ELBO; ``recall``: the
    share of modes visited over a tenth as often as they should be; ``mode_error`` = max |share − truth|.
    """
    assert problem.log_evidence is not None and paths.reverse_log_weights is not None
    elbo = float(paths.log_weights.mean())
    metrics = {
        "delta": problem.log_evidence.value - elbo,
        "rw": problem.log_evidence.value - float(log_mean_exp(paths.log_weights)),
        "gap": float(paths.reverse_log_weights.mean()) - elbo,
        "ess_fraction": effective_sample_fraction(paths.log_weights),
    }
    if problem.mode is not None and problem.mode_weights is not None:
        shares = mode_weights(problem.mode(paths.draws), problem.mode_weights.shape[-1])
        metrics["recall"] = float((shares > 0.1 * problem.mode_weights).double().mean())
        metrics["mode_error"] = float((shares - problem.mode_weights).abs().max())
        metrics["first_mode_share"] = float(shares[..., 0].mean())
    return metrics


def perform_missing(file: Path, runs: Sequence[Run], command: str) -> Iterator[Result]:
    """The result of every run, read from ``file`` or performed; the file is whole after each."""
    finished = finished_runs(file)
    for run in runs:
        known = [result for result in finished if result["identity"] == run.identity]
        if not known:
            known = [without_infinities(perform(run))]
            finished += known
            write_runs(file, {"command": command, **provenance()}, finished)
        yield known[0]


def finished_runs(file: Path) -> list[Result]:
    """The finished runs in ``file``; none if there is no file."""
    return json.loads(file.read_text())["runs"] if file.exists() else []


def write_runs(file: Path, head: Result, runs: Sequence[Result]) -> None:
    """Write ``head`` and a run a line, so that a new run is one line of a diff."""
    lines = ",\n".join("  " + json.dumps(run, allow_nan=False) for run in runs)
    write_whole(file, json.dumps(head, indent=1)[:-2] + f',\n "runs": [\n{lines}\n ]\n}}\n')
