"""One task of `speed.py`: its densities, and how a worker times it. Imports torch alone, for environments of others."""

from __future__ import annotations

import contextlib
import json
import math
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

LogDensity = Callable[[Tensor], Tensor]
Run = Callable[[int], list[float]]
"""Makes n training steps, or draws n times, and gives the CPU seconds of each."""

PAIRS = 2
"""Pairs of steps that are timed: a method with replay simulates in one step and replays in the next."""
DRAWS = 4_096
"""Draws of one call of a sampler."""


@dataclass(frozen=True)
class Task:
    """What is timed.

    Args:
        kind: ``train``, ``draw`` or ``memory``.
        method: ``tb``, ``vargrad``, ``tb-lp``, ``fl-subtb`` or ``tb-replay``.
        target: ``25gmm``, ``manywell`` or ``regression``.
        dim: D.
        paths: B.
        steps: K.
        rows: N, of the regression.
    """

    kind: str
    method: str
    target: str
    dim: int
    paths: int = 300
    steps: int = 100
    rows: int = 0

    @property
    def scale(self) -> float:
        """The reference's std at the end, as published: 5 in variance on the 25 Gaussians, and 1."""
        return math.sqrt(5.0) if self.target == "25gmm" else 1.0

    @property
    def langevin(self) -> bool:
        return self.method.endswith("-lp")

    def density(self) -> LogDensity:
        """``log R: (B, D) -> (B,)``, the same function for every code that is timed."""
        if self.target == "25gmm":
            return gaussians_25
        return many_well if self.target == "manywell" else regression(self.dim, self.rows)


CENTRES = torch.cartesian_prod(torch.arange(-10.0, 11.0, 5.0), torch.arange(-10.0, 11.0, 5.0))
NORMALIZER = math.log(25 * 2 * math.pi * 0.3)


def gaussians_25(x: Tensor) -> Tensor:
    return (-0.5 * (x[..., None, :] - CENTRES).square().sum(-1) / 0.3).logsumexp(-1) - NORMALIZER


def many_well(x: Tensor) -> Tensor:
    wells, plain = x[..., 0::2], x[..., 1::2]
    squared = wells.square()
    return (squared * (6.0 - squared) + 0.5 * wells).sum(-1) - 0.5 * plain.square().sum(-1)


def regression(dim: int, rows: int) -> LogDensity:
    """A linear regression of ``rows`` rows, whose posterior is about as wide for every number of rows."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(rows, dim, generator=generator) / math.sqrt(rows)
    y = torch.randn(rows, generator=generator)
    return lambda x: -0.5 * x.square().sum(-1) - 0.5 * (y - x @ features.T).square().sum(-1)


def stepwise(step: Callable[[], object]) -> Run:
    """A run of a function that makes one step."""

    def run(count: int) -> list[float]:
        times = []
        for _ in range(count):
            began = time.process_time()
            step()
            times.append(time.process_time() - began)
        return times

    return run


class Operators(TorchDispatchMode):
    """Counts calls of operators below autograd."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def operators(run: Run) -> int:
    """Operator calls of a step: half of what four steps make beyond two, so that what a run costs once drops out."""
    counts = []
    for steps in (2, 4):
        with Operators() as mode:
            run(steps)
        counts.append(mode.count)
    return (counts[1] - counts[0]) // 2


def peak() -> float:
    """The most memory that this process has held, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(task: Task, run: Run) -> dict[str, Any]:
    """The numbers of one task, timed after two steps that are thrown away."""
    if task.kind == "memory":
        before = peak()
        run(2)
        return {"mb": peak() - before, "process_mb": peak()}
    if task.kind == "draw":
        run(1)
        return {"ms": 1e3 * statistics.median(run(3)), "draws": DRAWS}
    run(2)
    times = run(2 * PAIRS + 1)[1:]
    pairs = [(first + second) / 2 for first, second in zip(times[0::2], times[1::2], strict=True)]
    return {"ms": 1e3 * statistics.median(pairs), "operators": operators(run)}


def serve(prepare: Callable[[Task], Run]) -> None:
    """Answer every task that comes as a line of JSON with a line of JSON."""
    torch.set_num_threads(1)
    answers = sys.stdout
    for line in sys.stdin:
        task = Task(**json.loads(line))
        torch.manual_seed(0)
        with contextlib.redirect_stdout(sys.stderr):
            found = measure(task, prepare(task))
        print(json.dumps({**asdict(task), **found, "torch": torch.__version__}), file=answers, flush=True)
