"""What a training step, a draw and a whole fit cost, beside the code of others and beside the floor of the arithmetic.

    python benchmarks/speed.py --before OLD --torchgfn ENV --paper FOLDER --rounds 3
    python benchmarks/speed.py --parts steps draws --rounds 1 --before OLD
    python benchmarks/speed.py --table
    python benchmarks/speed.py --page docs/results/speed.md --draw docs/results/speed.png

`OLD` is a checkout of an earlier commit, `ENV` an environment with torchgfn 2.4.1, matplotlib and scipy, `FOLDER` a
checkout of github:GFNOrg/gfn-diffusion. Who is not given is left out. Each code is one process with one thread, which
times tasks as they come: the codes take turns at every task, and every round is a turn through all tasks. Times are
CPU seconds of the process. A run is a line in `benchmarks/results/speed/`, and what is there is not run again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from speed_table import filled, picture, tables
from speed_tasks import Task
from support import RESULTS, ROOT, parser_of

HERE = Path(__file__).parent
FOLDER = RESULTS / "speed"
PARTS = ("steps", "draws", "fits", "sizes", "memory")

METHODS = ("tb", "tb-lp", "fl-subtb", "vargrad", "tb-replay")
TARGETS = (("25gmm", 2), ("manywell", 32))
EVERYONE = ("after", "before", "loop", "paper", "torchgfn", "floor")
UNKNOWN = {"torchgfn": ("tb-lp", "fl-subtb", "tb-replay")}
"""What torchgfn's diffusion samplers do not have, or have with another replay."""

SIZES = [
    *(Task("train", "tb", "manywell", dim) for dim in (2, 8, 32, 128, 512)),
    *(Task("train", "tb", "25gmm", 2, paths=paths) for paths in (30, 100, 1_000, 3_000)),
    *(Task("train", "tb", "25gmm", 2, steps=steps) for steps in (10, 30, 300, 1_000)),
    *(Task("train", "tb-lp", "regression", 8, rows=rows) for rows in (10, 100, 1_000, 10_000)),
]
"""One size at a time from K = 100, B = 300; the 25 Gaussians at these are among the steps."""
LARGE = Task("memory", "tb", "manywell", 1_600, paths=2_048)
FITS = ("eight_schools", "ten_groups", "kidscore", "breast_cancer", "two_sensors", "gaussian_mixture_25")
BESIDE_NUTS = FITS[:2]
"""Pyro's own chains take minutes on the others."""


def tasks(part: str) -> list[tuple[dict[str, Any], tuple[str, ...]]]:
    """The tasks of a part, and who does each."""
    if part == "steps":
        found = [(Task("train", method, *target), EVERYONE) for method in METHODS for target in TARGETS]
    elif part == "draws":
        found = [(Task("draw", "tb", *target), EVERYONE[:-1]) for target in TARGETS]
    elif part == "sizes":
        found = [(task, ("after", "before")) for task in SIZES]
    elif part == "memory":
        plain = [(Task("memory", method, *TARGETS[1]), EVERYONE[:-1]) for method in METHODS]
        found = [*plain, (LARGE, ("after",))]
    else:
        codes = {model: ("after", "before", *(("nuts",) if model in BESIDE_NUTS else ())) for model in FITS}
        return [({"kind": "fit", "model": model}, who) for model, who in codes.items()]
    return [
        (asdict(task), tuple(name for name in who if task.method not in UNKNOWN.get(name, ()))) for task, who in found
    ]


class Worker:
    """A process of one code, which answers tasks."""

    def __init__(self, command: list[str], path: Path):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(path)}
        self.command = command
        self.process = subprocess.Popen(
            command, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, task: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        print(json.dumps(task), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{' '.join(self.command)} ended without an answer to {task}; its error is above")
        return json.loads(answer)

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def commands(before: Path | None, torchgfn: Path | None, paper: Path | None) -> dict[str, tuple[list[str], Path]]:
    """Of everyone who is given: the command of the worker, and where it finds the library."""
    ours = [sys.executable, str(HERE / "speed_ours.py")]
    found = {"after": ([*ours, "library"], ROOT), "loop": ([*ours, "loop"], ROOT), "floor": ([*ours, "floor"], ROOT)}
    if before:
        found["before"] = ([*ours, "library"], before.resolve())
    if torchgfn:
        peers = [str(torchgfn / "bin" / "python"), str(HERE / "speed_peers.py")]
        found["torchgfn"] = ([*peers, "torchgfn"], HERE)
        if paper:
            found["paper"] = ([*peers, "paper", str(paper / "energy_sampling")], HERE)
    return found


def run_part(part: str, rounds: int, everyone: dict[str, tuple[list[str], Path]]) -> None:
    """All rounds of a part; memory and fits are measured in processes of their own."""
    file = FOLDER / f"{part}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    done = {_key(row) for row in rows_of(file)}
    workers: dict[str, Worker] = {}
    if part == "fits":
        fits = [sys.executable, str(HERE / "speed_fits.py")]
        everyone = {name: (fits, path) for name, (_, path) in everyone.items() if name in ("after", "before")}
        everyone["nuts"] = ([*fits, "nuts"], ROOT)
    for turn in range(rounds):
        for task, who in tasks(part):
            for name in who:
                if name not in everyone or _key({"round": turn, "who": name, **task}) in done:
                    continue
                if name not in workers:
                    workers[name] = Worker(*everyone[name])
                row = {
                    "round": turn,
                    "who": name,
                    **workers[name].ask({"seed": turn, **task} if part == "fits" else task),
                }
                with file.open("a") as lines:
                    lines.write(json.dumps(row) + "\n")
                print(row, flush=True)
                if part in ("memory", "fits"):
                    workers.pop(name).close()
    for worker in workers.values():
        worker.close()


def _key(row: dict[str, Any]) -> tuple:
    names = ("round", "who", "kind", "model", "method", "target", "dim", "paths", "steps", "rows")
    return tuple(row.get(name) for name in names)


def rows_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--before", type=Path, help="checkout of an earlier commit")
    parser.add_argument("--torchgfn", type=Path, help="environment with torchgfn, which runs the paper's code too")
    parser.add_argument("--paper", type=Path, help="checkout of github:GFNOrg/gfn-diffusion")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--table", action="store_true", help="only print the tables of what is there")
    parser.add_argument("--page", type=Path, help="only write the tables of what is there into this page")
    parser.add_argument("--draw", type=Path, help="only draw the picture of what is there")
    options = parser.parse_args()
    if options.table or options.page or options.draw:
        rows = {part: rows_of(FOLDER / f"{part}.jsonl") for part in PARTS}
        if options.table:
            print("\n\n".join(tables(rows).values()))
        if options.page:
            options.page.write_text(filled(options.page.read_text(), tables(rows)))
        if options.draw:
            picture(rows, options.draw)
        return
    everyone = commands(options.before, options.torchgfn, options.paper)
    for part in options.parts:
        run_part(part, options.rounds, everyone)


if __name__ == "__main__":
    main()
