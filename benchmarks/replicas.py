"""What replicas cost, by stage and in all, and what stacking their training could save at most.

    python benchmarks/replicas.py --before OLD --models eight_schools ten_groups breast_cancer
    python benchmarks/replicas.py --steps

The first prints CPU seconds of one, two and four fits of ``replicas=4``, with those of compilers, for a checkout `OLD`
of an earlier commit and for this one. Each row is a process of its own, with one thread.

The second prints CPU milliseconds of a training step of one network on B, 2 B and 4 B paths, interleaved medians. R
networks on R B paths cost no less than one on R B: so this bounds what one batch of all replicas could save.
"""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from support import MODELS, ROOT, markdown_row, parser_of

from amortized import DiffusionGuide
from amortized._types import TrainingStep
from amortized.behaviours import Behaviour, Mixture, OnPolicy, Replay, ReplayBuffer
from amortized.objectives import LogVariance
from amortized.samplers import GFlowNet
from amortized.targets.callable import DensityTarget
from amortized.training.loop import Schedule, fit

COUNTS = (1, 2, 4)
SETTINGS = ((16, 256, True, True), (16, 256, False, False), (16, 64, True, True), (100, 300, False, False))
"""K, B, whether the network sees the score, and whether half of the batch is replayed."""
ROUNDS, STEPS = 4, 6
"""Turns through the three sizes, and steps of each turn, the first of which is not timed: 20 times a size."""


def cpu_seconds() -> float:
    """Of this process and of its children that have ended: compilers are children."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


class Timed(DiffusionGuide):
    """Notes when each replica begins: they run one after the other within the first one's ``fit``."""

    began: list[float] = []  # noqa: RUF012

    def fit(self, *args: Any, **kwargs: Any) -> DiffusionGuide:
        self.began.append(cpu_seconds())
        return super().fit(*args, **kwargs)


def fits_here(name: str) -> str:
    """CPU seconds of one, two and four fits, as cells, in this process."""
    warnings.simplefilter("ignore")
    spec = importlib.util.spec_from_file_location(name, MODELS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    data = module.data() if hasattr(module, "data") else ()
    Timed(module.model, replicas=max(COUNTS), progress=False).fit(*(data if isinstance(data, tuple) else (data,)))
    first, *others = [*Timed.began, cpu_seconds()]
    return " | ".join(f"{others[count - 1] - first:.1f}" for count in COUNTS)


def fits(models: list[str], before: Path | None) -> None:
    print("| model | code | 1 | 2 | 4 |\n|---|---|---|---|---|")
    for name in models:
        for code, path in (("before", before), ("after", ROOT)):
            if path is None:
                continue
            own = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(path.resolve())}
            with tempfile.TemporaryDirectory() as cache:  # a user's first fit finds nothing compiled
                environment = {**os.environ, **own, "TORCHINDUCTOR_CACHE_DIR": cache}
                command = [sys.executable, __file__, "--here", name]
                found = subprocess.run(command, env=environment, text=True, stdout=subprocess.PIPE, check=True)
            print(markdown_row([name, code, found.stdout.strip()]), flush=True)


def stepper(steps: int, paths: int, langevin: bool, replays: bool) -> Callable[[], list[float]]:
    """Takes steps on the 25 Gaussians, and gives the CPU seconds of each but the first."""
    centres = 2.0 * torch.randn(25, 2, generator=torch.Generator().manual_seed(0))
    target = DensityTarget(lambda x: (-2.0 * (x[:, None] - centres).square().sum(-1)).logsumexp(1), dim=2)
    sampler, buffer = GFlowNet(2, steps=steps, langevin=langevin), ReplayBuffer(2)
    buffer.add(centres, target.log_prob(centres))
    behaviour: Behaviour = OnPolicy()
    if replays:
        behaviour = Mixture(behaviour, Replay(buffer, remember=False))

    def run() -> list[float]:
        moments: list[float] = []

        def look(step: TrainingStep) -> bool:
            moments.append(time.process_time())
            return False

        schedule = Schedule(STEPS, paths, callbacks=[look])
        fit(sampler.process, sampler.policy, target, LogVariance(), behaviour, schedule)
        return [after - before for before, after in zip(moments, moments[1:], strict=False)]

    return run


def steps() -> None:
    print("| K | B | score | replay | B | 2 B | 4 B | four over one |\n|---|---|---|---|---|---|---|---|")
    for setting in SETTINGS:
        length, paths, *how = setting
        runs = {count: stepper(length, count * paths, *how) for count in COUNTS}
        found: dict[int, list[float]] = {count: [] for count in COUNTS}
        for _ in range(ROUNDS):
            for count, run in runs.items():
                found[count] += run()
        medians = [1e3 * statistics.median(times) for times in found.values()]
        shown = [f"{median:.0f} ms" for median in medians]
        print(markdown_row([*setting, *shown, f"{medians[-1] / medians[0]:.2f}"]), flush=True)


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--before", type=Path, help="checkout of an earlier commit")
    parser.add_argument("--models", nargs="+", default=["eight_schools", "ten_groups", "breast_cancer"])
    parser.add_argument("--steps", action="store_true", help="only the training steps")
    parser.add_argument("--here", help="one model in this process")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if asked.here:
        print(fits_here(asked.here))
    elif asked.steps:
        steps()
    else:
        fits(asked.models, asked.before)


if __name__ == "__main__":
    main()
