"""``amortized bench MODEL...``: run the benchmark's cells; ``amortized bench report DIR``: their tables and figures."""

from __future__ import annotations

import argparse
import json
import math
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amortized.benchmark import cells, figures, jobs, records, report, truth
from amortized.benchmark.budget import Budget
from amortized.benchmark.cells import EXACT, PATHS, Cell
from amortized.benchmark.suite import digest, find_method
from amortized.benchmark.table import Published, Result, result_tables
from amortized.files import model as model_file
from amortized.files.model import UserError
from amortized.files.outputs import check_writable, together

FLOORS = 3
"""Cells of exact draws for a target: their spread over seeds tells what a difference is worth."""

ACTIONS = ("run", "report")
"""What may follow ``bench``; any other word is a model file."""


def with_action(argv: Sequence[str]) -> list[str]:
    """``bench MODEL`` is short for ``bench run MODEL``.

    >>> with_action(["bench", "models/funnel.py", "--steps", "9"])
    ['bench', 'run', 'models/funnel.py', '--steps', '9']
    >>> with_action(["bench", "report", "runs/bench"])
    ['bench', 'report', 'runs/bench']
    """
    if argv[:1] == ["bench"] and argv[1:] and argv[1] not in (*ACTIONS, "-h", "--help"):
        return ["bench", "run", *argv[1:]]
    return list(argv)


def add_commands(commands: Any) -> None:
    """Add ``bench`` with its two actions to the subparsers of a command line."""
    command = commands.add_parser("bench", help="every method on every model at an equal budget; report DIR")
    actions = command.add_subparsers(title="actions", required=True, metavar="{run,report}")
    action = actions.add_parser("run", help="train and measure every model x method x seed; goes on where it was")
    action.add_argument("models", nargs="+", metavar="MODEL", help="a model file, options of its data after a colon")
    action.add_argument(
        "--methods", type=comma_separated, required=True, metavar="A,B", help="methods, with commas between"
    )
    action.add_argument("--seeds", type=positive_integer, default=1, metavar="N", help="seeds 0 to N - 1 (default 1)")
    budget = action.add_mutually_exclusive_group(required=True)
    budget.add_argument("--seconds", type=positive_number, metavar="S", help="equal clock: seconds of training")
    budget.add_argument("--steps", type=positive_integer, metavar="N", help="equal gradient steps")
    budget.add_argument(
        "--energy-calls", type=positive_integer, metavar="N", help="equal cost: density evaluations in training"
    )
    action.add_argument(
        "--paths",
        type=positive_integer,
        default=PATHS,
        metavar="N",
        help="paths and exact draws to measure by (default 2000)",
    )
    action.add_argument(
        "--jobs", type=positive_integer, default=1, metavar="N", help="cells at once, a thread each (default 1)"
    )
    action.add_argument("--backend", choices=["loky", "dask"], default="loky", help="processes here, or a Dask cluster")
    action.add_argument("--scheduler", metavar="ADDRESS", help="of the Dask cluster (default: one on this machine)")
    action.add_argument("--out", type=Path, default=Path("runs/bench"), metavar="DIR", help="default runs/bench")
    action.add_argument("--retry", action="store_true", help="run failed cells again")
    action.set_defaults(run=run_benchmark, after_interrupt="the finished cells are kept; the same command continues")

    action = actions.add_parser("report", help="tables as Markdown and HTML, and figures, from a folder of results")
    action.add_argument("folder", type=Path, metavar="DIR", help="the folder of results")
    action.add_argument("--out", type=Path, metavar="DIR", help="folder of the report (default: the results' own)")
    action.add_argument("--metric", default="delta", metavar="NAME", help="of the figure (default delta)")
    action.add_argument("--methods", type=comma_separated, metavar="A,B", help="only these, in this order")
    action.add_argument("--published", type=Path, metavar="JSON", help="{target: {method: {metric: value}}}")
    action.add_argument("--no-times", action="store_true", help="leave out what differs between two equal runs")
    action.set_defaults(run=write_report)


def run_benchmark(arguments: argparse.Namespace) -> None:
    check_writable(arguments.out)
    if arguments.scheduler and arguments.backend != "dask":
        raise UserError(f"--scheduler {arguments.scheduler} is a Dask cluster's: add --backend dask")
    budget = Budget(seconds=arguments.seconds, steps=arguments.steps, energy_calls=arguments.energy_calls)
    wanted = cells.every_cell(arguments.models, arguments.methods, arguments.seeds, budget, arguments.paths)
    for method in arguments.methods:
        find_method(method)
    wanted = floor_cells(wanted) + wanted
    todo = records.unfinished(wanted, arguments.out, arguments.retry)
    check_sources([cell for cell in wanted if cell not in todo], arguments.out)
    print(f"{len(wanted)} cells, {len(wanted) - len(todo)} of them finished", file=sys.stderr)
    progress = sys.stderr.isatty()
    failed = jobs.run_cells(todo, arguments.out, arguments.jobs, arguments.backend, arguments.scheduler, progress)
    if failed:
        print(f"{failed} cells failed: the report tells why, --retry runs them again", file=sys.stderr)
    results = [records.read_result(records.result_file(arguments.out, cell)) for cell in wanted]
    print(report.markdown_report(result_tables(results), results), end="")


def floor_cells(wanted: Sequence[Cell]) -> list[Cell]:
    """The cells of the noise floors, for every target whose model file has exact draws."""
    targets = dict.fromkeys((cell.path, cell.options, cell.paths) for cell in wanted)
    exact = [
        target for target in targets if truth.own_function(model_file.load(target[0], options=target[1]), "sample")
    ]
    return [Cell(path, options, EXACT, seed, None, paths) for path, options, paths in exact for seed in range(FLOORS)]


def check_sources(finished: Sequence[Cell], folder: Path) -> None:
    """Warn of results that were made with another text of their model file."""
    for path in dict.fromkeys(cell.path for cell in finished):
        files = [records.result_file(folder, cell) for cell in finished if cell.path == path]
        if {records.read_result(file)["source"] for file in files} != {digest(path)}:
            warnings.warn(f"{folder} has results of another version of {path}: take another --out", stacklevel=2)


def write_report(arguments: argparse.Namespace) -> None:
    folder = arguments.out or arguments.folder
    check_writable(folder)
    results = records.read_results(arguments.folder)
    if arguments.methods:
        check_methods(results, arguments.methods)
        results = [result for result in results if result["method"] in (EXACT, *arguments.methods)]
    tables = result_tables(results, not arguments.no_times, arguments.methods, read_published(arguments.published))
    pictures = None if arguments.no_times else figure_pngs(results, arguments.metric)
    name = f"{arguments.metric}_by_seconds.png" if pictures else None
    with together(folder) as temporary:
        (temporary / "report.md").write_text(report.markdown_report(tables, results, name))
        (temporary / "report.html").write_text(report.html_report(tables, results, pictures))
        if pictures and name:
            (temporary / name).write_bytes(pictures[0])
    print(f"written to {folder}: report.md, report.html{f', {name}' if name else ''}")


def figure_pngs(results: Sequence[Result], metric: str) -> tuple[bytes, bytes] | None:
    """The figure on light and on dark ground; ``None`` if no result has the metric."""
    try:
        column = figures.metric_column(metric)
    except ValueError as error:
        raise UserError(str(error)) from error
    if not any(figures.values_of([result], column) for result in results):
        return None
    return figures.metric_against_seconds(results, column), figures.metric_against_seconds(results, column, dark=True)


def check_methods(results: Sequence[Result], methods: Sequence[str]) -> None:
    known = sorted({result["method"] for result in results} - {EXACT})
    for method in methods:
        if method not in known:
            raise UserError(f"no result of method {method}: there are {', '.join(known)}")


def read_published(file: Path | None) -> Published | None:
    if file is None:
        return None
    try:
        return checked_figures(json.loads(file.read_text()))
    except (OSError, ValueError) as error:
        raise UserError(f"--published {file}: {error}; write JSON, {{target: {{method: {{metric: 1.0}}}}}}") from None


def checked_figures(published: Any) -> Published:
    """The same, if it is ``{target: {method: {metric: number}}}``; else a ``ValueError``."""
    for target, methods in entries(published, "the file"):
        for method, row in entries(methods, target):
            for metric, value in entries(row, f"{target}, {method}"):
                if isinstance(value, bool) or not isinstance(value, (int, float)):
                    raise ValueError(f"{target}, {method}, {metric} is {value!r:.40} and no number")
    return published


def entries(value: Any, name: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {value!r:.40} and no object")
    return list(value.items())


def comma_separated(text: str) -> list[str]:
    """Names with commas between.

    >>> comma_separated("pis,dds")
    ['pis', 'dds']
    """
    names = text.split(",")
    if "" in names:
        raise argparse.ArgumentTypeError(f"{text!r} has an empty name in it")
    return names


def positive_number(text: str) -> float:
    """A finite number above zero."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a finite number above zero")
    return value


def positive_integer(text: str) -> int:
    """A whole number above zero."""
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number") from None
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value
