"""Five tasks of sbibm: does a classifier tell the guide's draws, or those of sbi's NPE and NLE, from exact ones?

    pip download sbibm==1.1.0 --no-deps && unzip sbibm-1.1.0-py2.py3-none-any.whl -d DIR
    python benchmarks/sbibm_tasks.py single amortized floor --wheel DIR --tasks slcp --observations 1 2 3
    python benchmarks/sbibm_tasks.py npe nle --wheel DIR --tasks slcp --seconds 150   # in an environment with sbi
    python benchmarks/sbibm_tasks.py --table

The reference posteriors are sbibm's own: the first 4,000 of their 10,000 draws. `floor` judges the last 4,000 in the
same way. Seconds are processor seconds of one thread: the clocks that the methods read are the processor's, so that
other jobs take none of their time. Every run is a line of a file in `benchmarks/results/sbibm`; what is there is not
run again.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from sbibm_c2st import c2st
from sbibm_wheel import SHAPES, Task

RESULTS = Path(__file__).parent / "results" / "sbibm"
DRAWS = 4_000
"""Of the method and of the reference: C2ST is then known to .006. sbibm takes 10,000, which cost 2.5 times as much."""
CORRECTIONS = ("none", "best")


@dataclass(frozen=True)
class Run:
    """One line of the results.

    Args:
        task: sbibm's name.
        observation: 1 to 10.
        method: And its correction, if it has one.
        seed: Of the method.
        limit: Processor seconds that were allowed for fitting.
        c2st: .5 is perfect.
        fit_seconds: Of the fit, which serves all observations if the method is amortized.
        draw_seconds: For 4,000 draws of this observation.
        effective: Share of the paths that count.
        verdict: On the draws.
    """

    task: str
    observation: int
    method: str
    seed: int
    limit: float
    c2st: float
    fit_seconds: float
    draw_seconds: float
    effective: float | None = None
    verdict: str | None = None

    @property
    def key(self) -> tuple:
        return self.task, self.observation, self.method, self.seed, self.limit


@dataclass(frozen=True)
class Asked:
    """What one call of a method is to do: the observations of a task that have no line yet."""

    task: Task
    observations: list[int]
    seed: int
    limit: float

    def run(self, observation: int, method: str, draws: torch.Tensor, seconds: tuple[float, float], said=()) -> Run:
        """Judge the draws; ``said`` is the effective share and the verdict."""
        found = c2st(self.task.reference(observation)[:DRAWS].numpy(), draws.numpy())
        return Run(self.task.name, observation, method, self.seed, self.limit, found, *seconds, *said)


@contextmanager
def processor_clock() -> Iterator[None]:
    """Inside, the clocks of ``time`` are the processor's."""
    clocks = time.perf_counter, time.monotonic
    time.perf_counter = time.monotonic = time.process_time
    try:
        yield
    finally:
        time.perf_counter, time.monotonic = clocks


def drawn_by(guide, asked: Asked, number: int, fit_seconds: float, method: str) -> Iterator[Run]:
    """Both kinds of draws for one observation."""
    data = (asked.task.observation(number),) if method == "amortized" else ()
    found = guide.diagnose(*data)
    for correction in CORRECTIONS:
        began = time.process_time()
        draws = guide.sample(DRAWS, *data, correction=correction)["parameters"]
        seconds = fit_seconds, time.process_time() - began
        label = f"{method}, {'uncorrected' if correction == 'none' else 'corrected'}"
        yield asked.run(number, label, draws, seconds, (found.ess_fraction, found.verdict))


def single(asked: Asked) -> Iterator[Run]:
    from amortized import DiffusionGuide

    for number in asked.observations:
        began = time.process_time()
        guide = DiffusionGuide(asked.task.model, seed=asked.seed, max_seconds=asked.limit, progress=False)
        guide.fit(asked.task.observation(number))
        yield from drawn_by(guide, asked, number, time.process_time() - began, "single")


def amortized(asked: Asked) -> Iterator[Run]:
    from amortized import DiffusionGuide

    began, template = time.process_time(), asked.task.observation(1)
    options = {"amortize": "x", "seed": asked.seed, "max_seconds": asked.limit, "progress": False}
    guide = DiffusionGuide(asked.task.model, **options).fit(template[None])
    seconds = time.process_time() - began
    for number in asked.observations:
        yield from drawn_by(guide, asked, number, seconds, "amortized")


def floor(asked: Asked) -> Iterator[Run]:
    """What exact draws get."""
    for number in asked.observations:
        yield asked.run(number, "floor", asked.task.reference(number)[-DRAWS:], (0.0, 0.0))


def peer(which: str) -> Callable[[Asked], Iterator[Run]]:
    """sbi's NPE or NLE; sbi is imported when it is asked for."""

    def runs(asked: Asked) -> Iterator[Run]:
        from sbibm_peers import fitted

        began = time.process_time()
        posterior = fitted(which, asked.task, asked.seed, began + asked.limit)
        seconds = time.process_time() - began
        for number in asked.observations:
            began = time.process_time()
            draws = posterior(asked.task.observation(number).reshape(1, -1), DRAWS)
            yield asked.run(number, which, draws, (seconds, time.process_time() - began))

    return runs


METHODS: dict[str, tuple[Callable[[Asked], Iterator[Run]], tuple[str, ...]]] = {
    "single": (single, ("single, uncorrected", "single, corrected")),
    "amortized": (amortized, ("amortized, uncorrected", "amortized, corrected")),
    "npe": (peer("npe"), ("npe",)),
    "nle": (peer("nle"), ("nle",)),
    "floor": (floor, ("floor",)),
}
"""What runs, and the names of its lines."""


def lines() -> list[Run]:
    files = sorted(RESULTS.glob("*.jsonl"))
    return [Run(**json.loads(line)) for file in files for line in file.read_text().splitlines()]


def table() -> None:
    """A row for each task, method and limit: the mean over observations and the worst one."""
    groups: dict[tuple, list[Run]] = {}
    for run in lines():
        groups.setdefault((run.task, run.limit, run.method), []).append(run)
    print("| task | limit, s | method | C2ST: mean, worst | runs | fit, s | 4,000 draws, s | effective | trusted |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (task, limit, method), runs in sorted(
        groups.items(), key=lambda item: (list(SHAPES).index(item[0][0]), item[0])
    ):
        mean = {
            name: sum(getattr(run, name) for run in runs) / len(runs)
            for name in ("c2st", "fit_seconds", "draw_seconds")
        }
        shares = [run.effective for run in runs if run.effective is not None]
        trusted = sum("not" not in run.verdict for run in runs if run.verdict)
        cells = [task, f"{limit:g}", method, f"{mean['c2st']:.3f}, {max(run.c2st for run in runs):.3f}", len(runs)]
        cells += [f"{mean['fit_seconds']:.0f}", f"{mean['draw_seconds']:.1f}"]
        cells += [f"{min(shares):.2f}–{max(shares):.2f}", f"{trusted} of {len(runs)}"] if shares else ["–", "–"]
        print(f"| {' | '.join(map(str, cells))} |")


def missing(name: str, asked: Asked) -> list[int]:
    known, labels = {run.key for run in lines()}, METHODS[name][1]
    keys = {n: {(asked.task.name, n, label, asked.seed, asked.limit) for label in labels} for n in asked.observations}
    return [number for number, wanted in keys.items() if not wanted <= known]


def run(name: str, asked: Asked) -> None:
    """Run what is missing; a line is written as soon as it is known."""
    observations = missing(name, asked)
    if not observations:
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    known = {line.key for line in lines()}
    for found in METHODS[name][0](Asked(asked.task, observations, asked.seed, asked.limit)):
        if found.key not in known:
            with (RESULTS / f"{asked.task.name}.jsonl").open("a") as file:
                file.write(json.dumps(asdict(found)) + "\n")
        print(found, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", help=", ".join(METHODS))
    parser.add_argument("--wheel", type=Path, help="folder of the unpacked wheel")
    parser.add_argument("--tasks", nargs="+", choices=list(SHAPES), default=list(SHAPES))
    parser.add_argument("--observations", nargs="+", type=int, choices=range(1, 11), default=[1, 2, 3])
    parser.add_argument("--seconds", type=float, default=150.0, help="processor seconds that a fit may take")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="print the table of what is there")
    asked = parser.parse_args()
    if asked.table:
        return table()
    if not asked.what or not set(asked.what) <= set(METHODS):
        parser.error(f"{' '.join(asked.what)}: write one or more of {', '.join(METHODS)}, or --table")
    if asked.wheel is None:
        parser.error("--wheel DIR: write the folder in which the wheel of sbibm is unpacked")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    for name in asked.tasks:
        task = Task(name, asked.wheel / "sbibm" / "tasks")
        for what in asked.what:
            with processor_clock():
                run(what, Asked(task, asked.observations, asked.seed, asked.seconds))


if __name__ == "__main__":
    main()
