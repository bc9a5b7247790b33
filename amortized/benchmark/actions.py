"""What ``amortized bench`` does: run the cells that are not finished, and write the tables and figures of a folder."""

from __future__ import annotations

import argparse
import json
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
from amortized.files.errors import UserError
from amortized.files.outputs import check_writable, together

FLOORS = 3
"""Cells of exact draws for a target: their spread over seeds tells what a difference is worth."""


def run_benchmark(arguments: argparse.Namespace) -> None:
    check_writable(arguments.out)
    if arguments.scheduler and arguments.backend != "dask":
        raise UserError(f"--scheduler {arguments.scheduler} is a Dask cluster's: add --backend dask")
    budget = Budget(seconds=arguments.seconds, steps=arguments.steps, energy_calls=arguments.energy_calls)
    paths = PATHS if arguments.paths is None else arguments.paths
    wanted = cells.every_cell(arguments.models, arguments.methods, arguments.seeds, budget, paths)
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
