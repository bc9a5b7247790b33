"""Plants one fault after another in a copy of the package, and asks the tests that should notice it.

    make mutants                                      # all of them, one at a time
    python benchmarks/mutants.py --only resampling    # those with this in their name
    python benchmarks/mutants.py --jobs 2

A fault is a piece of text with another in its place: `benchmarks/mutant_list.py`. Each runs in a fresh copy of the
package and the tests, in a process of its own; the working tree is never written to. `found`: a test failed.
`survived`: all named tests passed, so a test is missing. `did not apply`: its text is no longer in its file, or more
than once; write the text as it is now. `broken`: pytest could not run, which proves nothing. `timed out` counts as
neither. First the same tests run on the package as it is, and have to pass. Exit code 1 unless all are found.
"""

from __future__ import annotations

import argparse
import compileall
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from mutant_list import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "amortized"
COPIED = (PACKAGE, "tests", "benchmarks", "models", "tutorials", "docs", "pyproject.toml")
"""What the tests read; a name that is not there is left out."""
SECONDS = 120
"""Of CPU for the tests of one fault, many times what they take: only a fault that loops for ever meets it."""
WAITING = 20.0
"""Seconds on the clock for each of CPU: a busy machine is no fault, tests that wait for ever are."""
PRELOADED = (
    "pytest",
    "torch._dynamo",
    "torch.distributed.tensor",  # that of torch.testing.assert_close
    "pyro.infer.autoguide",
    "scipy.stats",
    "matplotlib.figure",
    "jinja2",
)
"""Slow imports that are made once and forked from; nothing of the package is among them."""
POLL = 0.05
FOUND, SURVIVED, TIMED_OUT, BROKEN, NOT_APPLIED = "found", "survived", "timed out", "broken", "did not apply"


def occurrences(mutant: Mutant, root: Path) -> int:
    """How often the text to replace is in its file; 0 where there is no such file."""
    file = root / PACKAGE / mutant.file
    return file.read_text().count(mutant.old) if file.is_file() else 0


def plant(mutant: Mutant, root: Path) -> None:
    """Write the fault into the package at ``root``; raises ``ValueError`` unless its text is there exactly once."""
    if (count := occurrences(mutant, root)) != 1:
        raise ValueError(
            f"{mutant.name}: its text is {count} times in {PACKAGE}/{mutant.file}; write the text as it is now in "
            "benchmarks/mutant_list.py"
        )
    file = root / PACKAGE / mutant.file
    file.write_text(file.read_text().replace(mutant.old, mutant.new))
    for compiled in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):
        compiled.unlink()


def prepare(source: Path, to: Path) -> Path:
    """A compiled copy of what the tests read, from which each fault gets its own."""
    for name in COPIED:
        if (source / name).is_dir():
            large = ("results", "images") if name in ("benchmarks", "docs") else ()
            shutil.copytree(source / name, to / name, ignore=shutil.ignore_patterns("__pycache__", *large))
        elif (source / name).is_file():
            shutil.copy2(source / name, to / name)
    compileall.compile_dir(to / PACKAGE, quiet=1)
    return to


def run_pytest(root: Path, tests: Sequence[str]) -> int:
    """Run ``tests`` on the package at ``root`` and nothing else, in this process, a fresh fork: pytest's exit code."""
    os.chdir(root)
    sys.stdout = sys.stderr = (root / "pytest.log").open("w", buffering=1)
    os.dup2(sys.stdout.fileno(), 1)
    os.dup2(sys.stdout.fileno(), 2)
    os.environ |= {"PYTHONPATH": str(root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    sys.path.insert(0, str(root))
    sys.dont_write_bytecode = True
    for name in [name for name in sys.modules if name.split(".")[0] in (PACKAGE, "tests")]:
        del sys.modules[name]
    package = Path(str(import_module(PACKAGE).__file__))
    assert package.is_relative_to(root), f"{package} is not the copy in {root}"
    options = ["-x", "-q", "-p", "no:cacheprovider", "--assert=plain", "--rootdir", str(root)]
    return int(import_module("pytest").main([*options, *(f"tests/{test}" for test in tests)]))


class Run:
    """Tests of a package, in a process group of their own that ends after so many ``seconds`` of CPU."""

    def __init__(self, root: Path, tests: Sequence[str], seconds: int):
        self.root, self.deadline = root, time.perf_counter() + WAITING * seconds
        self.code: int | None = None
        self.cpu = 0.0
        self.pid = os.fork()
        if self.pid == 0:
            code = 99
            try:
                os.setsid()
                resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
                code = run_pytest(root, tests)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
            finally:
                sys.stderr.flush()
                os._exit(code)

    def done(self) -> bool:
        """Whether they have ended, or had to be; ``code`` is None where time ran out."""
        ended, status, used = os.wait4(self.pid, os.WNOHANG)
        if ended:
            code, self.cpu = os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime
            self.code = None if code in (-signal.SIGKILL, -signal.SIGXCPU) else code
        elif time.perf_counter() > self.deadline:
            os.killpg(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        else:
            return False
        return True

    @property
    def said(self) -> str:
        log = self.root / "pytest.log"
        return "\n".join(log.read_text().splitlines()[-15:]) if log.exists() else ""


@dataclass(frozen=True)
class Outcome:
    name: str
    status: str
    cpu: float = 0.0
    said: str = ""


Task = tuple[str, Callable[[Path], None], Sequence[str]]
"""A name, a change to the copy, and the tests to run on it."""


def outcomes(tasks: Sequence[Task], prepared: Path, jobs: int, seconds: int) -> Iterator[Outcome]:
    """The outcome of every task as it comes, ``jobs`` at once, each in a copy that is gone afterwards."""
    left, going = list(tasks), []
    while left or going:
        while left and len(going) < jobs:
            name, change, tests = left.pop(0)
            folder = tempfile.TemporaryDirectory(prefix="mutant-")
            root = Path(shutil.copytree(prepared, Path(folder.name).resolve() / "copy"))
            try:
                change(root)
            except ValueError as error:
                folder.cleanup()
                yield Outcome(name, NOT_APPLIED, 0.0, str(error))
                continue
            going.append((name, folder, Run(root, tests, seconds)))
        time.sleep(POLL)
        for ended in [one for one in going if one[2].done()]:
            going.remove(ended)
            name, folder, run = ended
            status = TIMED_OUT if run.code is None else {0: SURVIVED, 1: FOUND}.get(run.code, BROKEN)
            yield Outcome(name, status, run.cpu, run.said)
            folder.cleanup()


def failing(mutants: Sequence[Mutant], prepared: Path, jobs: int, seconds: int) -> list[Outcome]:
    """The named tests that do not pass on the package as it is, file by file: they could tell no fault."""
    named = sorted({test for mutant in mutants for test in mutant.tests})
    files = dict.fromkeys(test.split("::")[0] for test in named)
    parts = {file: [file] if file in named else [t for t in named if t.split("::")[0] == file] for file in files}
    tasks: list[Task] = [(file, lambda root: None, tests) for file, tests in parts.items()]
    return [found for found in outcomes(tasks, prepared, jobs, 5 * seconds) if found.status != SURVIVED]


def run(mutants: Sequence[Mutant], prepared: Path, jobs: int = 1, seconds: int = SECONDS) -> list[Outcome]:
    """The outcome of every fault; each is told on standard error as it comes."""

    def planting(mutant: Mutant) -> Task:
        return mutant.name, lambda root: plant(mutant, root), mutant.tests

    found = []
    for outcome in outcomes([planting(mutant) for mutant in mutants], prepared, jobs, seconds):
        found.append(outcome)
        said = f"{len(found)}/{len(mutants)} {outcome.name}: {outcome.status}, {outcome.cpu:.1f} s"
        print(said, file=sys.stderr, flush=True)
        if outcome.status not in (FOUND, SURVIVED):
            print(outcome.said, file=sys.stderr)
    return found


def table(found: Sequence[Outcome]) -> str:
    """A row a fault with its CPU seconds, the worst last, and the totals."""
    order = [FOUND, NOT_APPLIED, BROKEN, TIMED_OUT, SURVIVED]
    width = max(len(outcome.name) for outcome in found)
    ranked = sorted(found, key=lambda outcome: order.index(outcome.status))
    rows = [f"{outcome.name:<{width}}  {outcome.status:<13} {outcome.cpu:6.1f} s" for outcome in ranked]
    counts = {status: sum(outcome.status == status for outcome in found) for status in order}
    return "\n".join([*rows, ", ".join(f"{count} {status}" for status, count in counts.items() if count)])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Plant faults, one at a time, and ask the tests.")
    parser.add_argument("--only", default="", metavar="TEXT", help="the faults with this in their name")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="faults at once (default 1)")
    parser.add_argument("--seconds", type=int, default=SECONDS, metavar="S", help="of CPU, for one fault (default 120)")
    parser.add_argument("--list", action="store_true", help="name the faults, and run nothing")
    options = parser.parse_args(argv)
    chosen = [mutant for mutant in MUTANTS if options.only in mutant.name]
    if not chosen:
        parser.error(f"no fault has {options.only!r} in its name; type --list")
    if options.list:
        print("\n".join(f"{mutant.name}  {mutant.file}" for mutant in chosen))
        return 0
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in PRELOADED:
        import_module(name)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        prepared = prepare(ROOT, Path(folder))
        if wrong := failing(chosen, prepared, options.jobs, options.seconds):
            said = "\n".join(f"{outcome.name}: {outcome.status}\n{outcome.said}" for outcome in wrong)
            print(f"without any fault these do not pass; mend them first:\n{said}")
            return 1
        found = run(chosen, prepared, options.jobs, options.seconds)
    print(f"{table(found)}\n{time.perf_counter() - began:.0f} s")
    return 0 if all(outcome.status == FOUND for outcome in found) else 1


if __name__ == "__main__":
    sys.exit(main())
