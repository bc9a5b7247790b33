"""The folder of results: one JSON file a cell, which appears whole or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amortized.benchmark.budget import Budget
from amortized.benchmark.cells import Cell
from amortized.files.errors import UserError

NEEDED = ("target", "method", "seed", "budget", "paths", "status")
"""What every result has: the report and the resuming read these without asking."""


KINDS: dict[str, Any] = {
    "target": str,
    "method": str,
    "seed": int,
    "budget": (dict, type(None)),
    "paths": int,
    "status": str,
}
"""Of what a result has."""
NUMBERS = {"metrics": (), "training": ("seconds", "steps", "energy_calls", "network_calls")}
"""Parts of a result that hold numbers, with the names of those; all of the metrics are."""
PARTS = ("metrics", "training", "machine", "versions")
"""Objects that a result may have."""


def result_file(folder: Path, cell: Cell) -> Path:
    return folder / f"{cell.key}.json"


def write_result(folder: Path, cell: Cell, result: dict[str, Any]) -> Path:
    """Write ``result`` as the cell's file, whole or not at all."""
    file = result_file(folder, cell)
    content = without_infinities({**cell.as_json(), **result})
    write_whole(file, json.dumps(content, indent=1, allow_nan=False) + "\n")
    return file


def write_whole(file: Path, text: str) -> None:
    """Write ``text`` to ``file`` by way of a second file, so that no reader meets half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.stem}.{os.getpid()}")
    with temporary.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())  # a power cut after the rename must not leave an empty file
    os.replace(temporary, file)


def without_infinities(value: Any) -> Any:
    """JSON knows no infinities: numbers that are not finite become "inf", "-inf" and "nan", which ``float`` reads.

    >>> without_infinities({"elbo": -math.inf, "losses": (1.0, math.nan), "steps": 3})
    {'elbo': '-inf', 'losses': [1.0, 'nan'], 'steps': 3}
    """
    if isinstance(value, dict):
        return {str(name): without_infinities(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [without_infinities(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def read_results(folder: Path) -> list[dict[str, Any]]:
    """Every result in ``folder``, in the order of the file names.

    Raises:
        UserError: The folder has no result, or one of its JSON files is not a result.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise UserError(f"{folder} has no results: run amortized bench MODEL... --out {folder}")
    return [read_result(file) for file in files]


def read_result(file: Path) -> dict[str, Any]:
    try:
        result = json.loads(file.read_text())
    except ValueError as error:
        raise UserError(f"{file} is not JSON ({error}): delete it, and run the benchmark again") from error
    if wrong := malformed(result):
        raise UserError(f"{file} is not a result of the benchmark, {wrong}: move it elsewhere")
    return result


def malformed(result: Any) -> str:
    """The first thing that is wrong with the shape of a result; empty if nothing is.

    >>> malformed({"target": "funnel"}), malformed([1])
    ('it has no method', 'it is no object')
    """
    if not isinstance(result, dict):
        return "it is no object"
    for name in NEEDED:
        if name not in result:
            return f"it has no {name}"
        if not isinstance(result[name], KINDS[name]) or isinstance(result[name], bool):
            return f"its {name} is {result[name]!r:.40}"
    try:
        if result["budget"] is not None:
            Budget(**result["budget"])
    except (TypeError, ValueError):
        return f"its budget is {result['budget']!r:.60}"
    if result["status"] not in ("finished", "failed"):
        return f"its status is {result['status']!r:.40}"
    if result["status"] == "failed" and not isinstance(result.get("error"), str):
        return "it failed and has no error"
    return malformed_figures(result)


def malformed_figures(result: dict[str, Any]) -> str:
    """The first part of a result that holds anything but what a table or a picture reads."""
    for part in PARTS:
        if not isinstance(found := result.get(part, {}), dict):
            return f"its {part} are {found!r:.40}"
    missing = result.get("metrics", {}).get("missing", {})
    if not (isinstance(missing, dict) and all(isinstance(reason, str) for reason in missing.values())):
        return f"its missing metrics are {missing!r:.40}"
    for part, names in NUMBERS.items():
        found = result.get(part, {})
        for name in names or found:
            value = found.get(name)
            if name != "missing" and not (value is None or is_number(value)):
                return f"its {part} have {name} {value!r:.40}"
    return ""


def is_number(value: Any) -> bool:
    """Whether it is a number, or one of the words that stand for infinities and NaN."""
    return value in ("inf", "-inf", "nan") if isinstance(value, str) else isinstance(value, (int, float))


def identity(result: dict[str, Any]) -> tuple:
    """What two results of one cell share, wherever the folder of the model lies."""
    budget = None if result["budget"] is None else Budget(**result["budget"])
    return result["target"], result["method"], result["seed"], budget, result["paths"]


def unfinished(cells: Sequence[Cell], folder: Path, retry: bool = False) -> list[Cell]:
    """The cells that have no result in ``folder``; with ``retry`` the failed cells too.

    Raises:
        UserError: The file of a cell holds the result of another cell.
    """
    remaining = []
    for cell in cells:
        file = result_file(folder, cell)
        if not file.exists():
            remaining.append(cell)
            continue
        result = read_result(file)
        there, wanted = identity(result), identity(cell.as_json())
        if there != wanted:
            raise UserError(f"{file} is a result of {there}, not of {wanted}: take another --out")
        if retry and result["status"] == "failed":
            remaining.append(cell)
    return remaining
