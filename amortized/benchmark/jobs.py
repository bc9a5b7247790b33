"""Many cells at once: on processes of this machine, or on a Dask cluster. Each result is written as it comes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from tqdm import tqdm

from amortized.benchmark.cells import Cell
from amortized.benchmark.records import write_result
from amortized.benchmark.suite import run_cell
from amortized.files.errors import UserError


def run_cells(
    todo: Sequence[Cell],
    folder: Path,
    jobs: int = 1,
    backend: str = "loky",
    scheduler: str | None = None,
    progress: bool = True,
) -> int:
    """Run every cell on one thread and write its result. Only this process writes into ``folder``.

    Args:
        todo: The cells.
        folder: Where the results go.
        jobs: Cells at once.
        backend: ``"loky"``, processes of this machine, or ``"dask"``, the workers of a cluster.
        scheduler: Address of the cluster; by default a cluster of ``jobs`` workers is started on this machine.
        progress: Whether to show a bar.

    Returns:
        How many cells failed.

    Raises:
        UserError: joblib or dask is not installed.
    """
    joblib = optional_module("joblib")
    failed = 0
    with worker_pool(joblib, jobs, backend, scheduler), tqdm(total=len(todo), unit="cell", disable=not progress) as bar:
        parallel = joblib.Parallel(return_as="generator_unordered", batch_size=1)
        calls = (joblib.delayed(run_numbered)(index, with_absolute_paths(cell)) for index, cell in enumerate(todo))
        for index, result in parallel(calls):
            cell = todo[index]
            write_result(folder, cell, result)
            failed += result["status"] == "failed"
            bar.set_postfix_str(f"{cell.target} {cell.label} seed {cell.seed} {result['status']}")
            bar.update()
    return failed


def run_numbered(index: int, cell: Cell) -> tuple[int, dict[str, Any]]:
    return index, run_cell(cell)


@contextmanager
def worker_pool(joblib: ModuleType, jobs: int, backend: str, scheduler: str | None) -> Iterator[None]:
    """Where joblib's calls run inside the block."""
    if backend == "loky":
        with joblib.parallel_config("loky", n_jobs=jobs, inner_max_num_threads=1):
            yield
        return
    distributed = optional_module("distributed")
    where = {"address": scheduler} if scheduler else {"n_workers": jobs, "threads_per_worker": 1}
    with distributed.Client(**where), joblib.parallel_config("dask"):
        yield


def with_absolute_paths(cell: Cell) -> Cell:
    """The same cell with absolute paths, which a worker in another folder finds."""
    file, _, function = cell.method.rpartition(":")
    method = f"{Path(file).absolute()}:{function}" if file.endswith(".py") else cell.method
    return replace(cell, path=cell.path.absolute(), method=method)


def optional_module(name: str) -> ModuleType:
    """A module of the optional extra ``bench``."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(f"the benchmark needs {name}: pip install 'amortized[bench]'") from error
