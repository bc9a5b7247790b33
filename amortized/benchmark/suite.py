"""One cell from start to end: the target, the training, the measurement, and an error kept as a result."""

from __future__ import annotations

import hashlib
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyro
import torch

from amortized.benchmark import machine, truth
from amortized.benchmark.cells import EXACT, Cell
from amortized.benchmark.measurement import measure_exact_draws, measure_sampler
from amortized.files.errors import UserError
from amortized.files.model import blaming, imported

if TYPE_CHECKING:
    from amortized.benchmark.methods import Method

MOST_LOSSES = 200
"""As many as a curve of them can show; 20,000 would be most of the file."""


def find_method(name: str) -> Method:
    """The method called ``name``, or the function after the colon in ``mine.py:train``.

    Raises:
        UserError: There is no such method.
    """
    path, _, function = name.rpartition(":")
    if path.endswith(".py"):
        return method_from_file(Path(path), function)
    from amortized.benchmark.methods import method_named  # every sampler there is, which other commands need not load

    try:
        return method_named(name)
    except ValueError as error:
        raise UserError(str(error)) from error


def method_from_file(path: Path, name: str) -> Method:
    if not path.is_file():
        raise UserError(f"{path} is not there: type the path of a Python file with a function {name}")
    with blaming(path):
        train: Any = getattr(imported(path), name, None)
    if train is None:
        raise UserError(f"{path} has no function {name}: write def {name}(target, scale, budget, seed): in it")
    return train


def run_cell(cell: Cell) -> dict[str, Any]:
    """Train and measure one cell on one thread.

    The same cell gives the same numbers, except times, unless its budget is in seconds.

    Returns:
        Plain data, ready for JSON. ``status`` is "finished", or "failed" with the ``error`` in one line and its
        ``traceback``: a method that breaks on a target is a finding too.
    """
    torch.set_num_threads(1)
    began = time.perf_counter()
    result: dict[str, Any] = {**machine.provenance(), "source": digest(cell.path)}
    try:
        result |= {"status": "finished", **train_and_measure(cell)}
    except Exception as error:
        text = " ".join(str(error).split())
        result |= {"status": "failed", "error": f"{type(error).__name__}: {text}", "traceback": traceback.format_exc()}
    return {**result, "total_seconds": time.perf_counter() - began}


def train_and_measure(cell: Cell) -> dict[str, Any]:
    """The part of a result that needs the cell to succeed."""
    pyro.clear_param_store()
    pyro.set_rng_seed(cell.seed)
    problem = truth.load_problem(cell.path, cell.options)
    problem.check()
    known = {
        "dimension": problem.target.dim,
        "truth": None if problem.log_evidence is None else problem.log_evidence._asdict(),
    }
    if cell.method == EXACT or cell.budget is None:
        return {**known, "metrics": measure_exact_draws(problem, cell.paths, cell.seed)}
    trained = find_method(cell.method)(problem.target, problem.scale, cell.budget, cell.seed)
    training = {
        "seconds": trained.seconds,
        "steps": trained.steps,
        "energy_calls": trained.energy_calls,
        "network_calls": trained.network_calls,
    }
    return {
        **known,
        "metrics": measure_sampler(problem, trained, cell.paths, cell.seed),
        "training": {**training, **thinned(trained.losses)},
    }


def thinned(losses: Sequence[float]) -> dict[str, list]:
    """At most 200 of the losses, first and last among them, beside their step's number from 1.

    >>> thinned([3.0, 2.0])
    {'loss_steps': [1, 2], 'losses': [3.0, 2.0]}
    >>> len(thinned([0.0] * 1_000)["losses"])
    200
    """
    indices = np.unique(np.linspace(0, len(losses) - 1, min(len(losses), MOST_LOSSES)).round().astype(int)).tolist()
    return {"loss_steps": [index + 1 for index in indices], "losses": [float(losses[index]) for index in indices]}


def digest(path: Path) -> str:
    """SHA-256 of a file: whether a result was made with the file's present text."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
