"""``amortized fit FILE --amortize y``: one guide for all data sets, on one process or all that ``torchrun`` starts."""

from __future__ import annotations

import argparse
import csv
import shlex
import warnings
from pathlib import Path

from amortized.cli import fit
from amortized.cli.baselines import say
from amortized.diagnostics.calibration import Calibration
from amortized.diagnostics.comparison import aligned
from amortized.diagnostics.verdict import Diagnosis
from amortized.files import outputs
from amortized.files.errors import UserError
from amortized.files.model import ModelFile, blaming, load
from amortized.guide.guide import DiffusionGuide
from amortized.guide.many import Many
from amortized.guide.options import SECONDS_FOR_MANY
from amortized.parallel.group import together
from amortized.parallel.ranks import RankLost, Ranks
from amortized.plots.calibration import plot_calibration
from amortized.results.posterior import Posterior

CHECKPOINT, GUIDE = "training.checkpoint", "guide.safetensors"
"""Files in the folder of the results: the first is there until a run has ended."""
CALIBRATED = 500
"""Simulated data sets that judge the guide: 1,000 find a shift of .15 std in 87 of 100 calibrations
(docs/results/calibration.md), so that half as many find one of .21."""
SHOWN = 10
"""Data sets of the file that are judged one by one, about half a second each."""
WAITED = 3.0
"""Times the limit of the fit that a process waits for the others."""


def run(arguments: argparse.Namespace) -> int:
    """Fit, calibrate, print and write."""
    check(arguments)
    file = load(arguments.file, arguments.model)
    folder = arguments.out or Path("runs") / file.path.stem
    outputs.check_writable(folder)
    checkpoint = folder / CHECKPOINT
    check_checkpoint(checkpoint, arguments.resume)
    folder.mkdir(parents=True, exist_ok=True)
    waited = WAITED * (arguments.max_seconds or SECONDS_FOR_MANY)
    try:
        with blaming(file.path), together(checkpoint, arguments.device, waited) as group:
            if group.ranks.rank:
                warnings.simplefilter("ignore")  # the first process says it
            fit_and_write(file, arguments, folder, group.ranks)
    except KeyboardInterrupt:
        if checkpoint.exists():
            arguments.after_interrupt = f"type the command with --resume to go on from {checkpoint}"
        raise
    except (RankLost, UserError) as error:
        if RankLost not in (type(error), type(error.__cause__)):
            raise
        again = "type the command with --resume, on any number of processes, and it goes on from"
        saved = f"{again} {checkpoint}" if checkpoint.exists() else "nothing was saved yet, type the command again"
        raise UserError(f"another process of this run was lost: {saved}") from error
    return 0


def check(arguments: argparse.Namespace) -> None:
    """Raises ``UserError`` for options that are of one data set."""
    for name in ("compare", "report", "draws", "checkpoint"):
        if getattr(arguments, name):
            raise UserError(f"--{name} is of one data set: leave it out beside --amortize")


def check_checkpoint(checkpoint: Path, resume: bool) -> None:
    """Raises ``UserError`` unless there is something to resume, or nothing that would be lost."""
    if resume and not checkpoint.exists():
        raise UserError(f"{checkpoint} is not there, so that nothing can be resumed: leave out --resume")
    if checkpoint.exists() and not resume:
        raise UserError(f"{checkpoint} is of a run that was stopped: type --resume to go on from it, or delete it")


def fit_and_write(file: ModelFile, arguments: argparse.Namespace, folder: Path, ranks: Ranks) -> None:
    """What every process does; the first one prints and writes."""
    guide = fit.make_guide(file, arguments)
    if first := ranks.rank == 0:
        shared = f" on {ranks.size} processes" if ranks.size > 1 else ""
        say(f"fitting {file.title} for all data sets{shared}, at most {guide.plan.seconds:.0f} s")
    guide.fit(*file.args, **file.kwargs)
    if first:
        say(f"fitted in {guide.seconds:.1f} s, now calibrating on {CALIBRATED} simulated data sets")
    calibration = guide.calibrate(CALIBRATED)
    assert isinstance(guide.fitted, Many)
    found = guide.fitted.answers(Posterior.diagnose, guide.fitted.target.rows[:SHOWN])
    if first:
        print(printed(file, guide, calibration, found))
        print(f"\nwritten to {folder}: {', '.join(write(folder, guide, calibration))}")
        print(f"draw with: {drawing(arguments, folder)}")


def printed(file: ModelFile, guide: DiffusionGuide, calibration: Calibration, found: list[Diagnosis]) -> str:
    """The calibration, and the verdict on the first data sets of the file."""
    count = len(guide.fitted.target.rows) if isinstance(guide.fitted, Many) else 0
    head = ["data set", "log evidence", "effective", "verdict"]
    rows = [[str(k), str(one.log_evidence), f"{one.ess_fraction:.0%}", one.verdict] for k, one in enumerate(found)]
    more = f"\nand {count - len(found)} more" if count > len(found) else ""
    title = f"{file.title}: {calibration.verdict}"
    return "\n\n".join([title, str(calibration).split("\n", 1)[1], aligned([head, *rows]) + more])


def drawing(arguments: argparse.Namespace, folder: Path) -> str:
    """The command that draws from the guide that was written."""
    model = [] if arguments.model == "model" else ["--model", arguments.model]
    words = ["amortized", "sample", str(arguments.file), str(folder / GUIDE), "--data", "y.npy", *model]
    return shlex.join(words)


def write(folder: Path, guide: DiffusionGuide, calibration: Calibration) -> list[str]:
    """Write the guide and its calibration, all files or none; returns their names."""
    with outputs.together(folder) as temporary:
        guide.save(temporary / GUIDE)
        with (temporary / "calibration.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["check", "p-value", "shift", "width", "passes"])
            for one in calibration.checks:
                figures = ["", ""] if one is calibration.joint else [f"{one.shift:.6g}", f"{one.width:.6g}"]
                writer.writerow([one.name, f"{one.p_value:.6g}", *figures, one not in calibration.failed])
        plot_calibration(calibration).savefig(temporary / "calibration.png")
        return sorted(file.name for file in temporary.iterdir())
