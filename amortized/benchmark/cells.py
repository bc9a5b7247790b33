"""One cell of the benchmark, model x method x seed x budget, and the folder where its result lies as one JSON file."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amortized.benchmark import truth
from amortized.benchmark.budget import Budget
from amortized.files.model import UserError

EXACT = "exact draws"
"""The method of the cells that measure the noise floors; they have no budget."""

PATHS = 2_000
UNITS = {"seconds": "seconds", "steps": "steps", "energy_calls": "energy-calls"}


@dataclass(frozen=True)
class Cell:
    """``method`` on ``model(*data(*options))`` of the file at ``path``, trained within ``budget`` from ``seed``.

    ``paths``: how many paths, and exact draws, it is measured by.
    """

    path: Path
    options: tuple
    method: str
    seed: int
    budget: Budget | None
    paths: int = PATHS

    @property
    def target(self) -> str:
        """The target's name in tables: the file's stem, with the options in brackets.

        >>> Cell(Path("models/many_well.py"), (128,), "pis", 0, Budget(steps=10)).target
        'many_well(128)'
        """
        return self.path.stem + (f"({', '.join(map(repr, self.options))})" if self.options else "")

    @property
    def label(self) -> str:
        """The method's name in tables; of a function in a file without the folders.

        >>> Cell(Path("models/funnel.py"), (), "mine/own.py:train", 0, Budget(steps=10)).label
        'own:train'
        """
        file, _, function = self.method.rpartition(":")
        return f"{Path(file).stem}:{function}" if file.endswith(".py") else self.method

    @property
    def key(self) -> str:
        """The file name without its ending; a hash at its end where the plain name may be another cell's too.

        >>> Cell(Path("models/many_well.py"), (128,), "tb-expl", 0, Budget(steps=10)).key
        'many_well-128__tb-expl__steps-10__seed-0'
        >>> Cell(Path("models/many_well.py"), (-128,), "tb-expl", 0, Budget(steps=10)).key
        'many_well-128__tb-expl__steps-10__seed-0__57e887ab'
        """
        spent = [] if self.budget is None else [describe(self.budget)]
        measured = [] if self.paths == PATHS else [f"paths {self.paths}"]
        parts = [self.target, self.label, *spent, *measured, f"seed {self.seed}"]
        if not self.plain_name:
            clock = "" if self.budget is None else self.budget.clock
            parts.append(hashlib.sha256(f"{self.target} {clock}".encode()).hexdigest()[:8])
        return "__".join(map(slug, parts))

    @property
    def plain_name(self) -> bool:
        """Whether model and options are words and numbers without a sign, and seconds the processor's."""
        words = all(re.fullmatch(r"[\w.]+", text) for text in [self.path.stem, *map(repr, self.options)])
        return words and (self.budget is None or self.budget.clock == Budget.clock)

    def as_json(self) -> dict[str, Any]:
        """What identifies the cell, as plain data."""
        return {
            "model": str(self.path),
            "options": list(self.options),
            "target": self.target,
            "method": self.label,
            "seed": self.seed,
            "budget": None if self.budget is None else asdict(self.budget),
            "paths": self.paths,
        }


def identity(result: dict[str, Any]) -> tuple:
    """What two results of one cell share, wherever the folder of the model lies."""
    budget = None if result["budget"] is None else Budget(**result["budget"])
    return result["target"], result["method"], result["seed"], budget, result["paths"]


def slug(text: str) -> str:
    """Characters that every file system takes.

    >>> slug("log_gaussian_cox(20, True)"), slug("own:train")
    ('log_gaussian_cox-20-True', 'own-train')
    """
    return re.sub(r"[^\w.]+", "-", text).strip("-")


def describe(budget: Budget) -> str:
    """The one limit of a budget, in words.

    >>> describe(Budget(seconds=120.0)), describe(Budget(energy_calls=1_000_000))
    ('seconds 120', 'energy-calls 1000000')
    """
    [(name, value)] = [(name, getattr(budget, name)) for name in UNITS if getattr(budget, name) is not None]
    return f"{UNITS[name]} {value:.15g}"


def grid(models: Sequence[str], methods: Sequence[str], seeds: int, budget: Budget, paths: int = PATHS) -> list[Cell]:
    """Every model with every method and seed 0 .. ``seeds - 1``, all of one seed before the next.

    Raises ``UserError`` where two cells would have one file name.
    """
    pairs = [(truth.parse(model), method) for model in models for method in methods]
    made = [Cell(*target, method, seed, budget, paths) for seed in range(seeds) for target, method in pairs]
    keys = Counter(cell.key for cell in made)
    twice = next((cell for cell in made if keys[cell.key] > 1), None)
    if twice is not None:
        raise UserError(f"{twice.target} with {twice.label} is there twice: give every model and method once")
    return made


def place(folder: Path, cell: Cell) -> Path:
    return folder / f"{cell.key}.json"


def write(folder: Path, cell: Cell, result: dict[str, Any]) -> Path:
    """Write ``result`` as the cell's file, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    file = place(folder, cell)
    text = json.dumps(plain({**cell.as_json(), **result}), indent=1, allow_nan=False) + "\n"
    temporary = folder / f".{cell.key}.{os.getpid()}"
    with temporary.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, file)
    return file


def plain(value: Any) -> Any:
    """JSON knows no infinities: numbers that are not finite become "inf", "-inf" and "nan", which ``float`` reads.

    >>> plain({"elbo": -math.inf, "losses": (1.0, math.nan), "steps": 3})
    {'elbo': '-inf', 'losses': [1.0, 'nan'], 'steps': 3}
    """
    if isinstance(value, dict):
        return {str(name): plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def read(folder: Path) -> list[dict[str, Any]]:
    """Every result in ``folder``, in the order of the file names.

    Raises ``UserError`` where there is none, or where a file is not a result.
    """
    files = sorted(folder.glob("*.json"))
    if not files:
        raise UserError(f"{folder} has no results: run amortized bench MODEL... --out {folder}")
    return [read_file(file) for file in files]


def read_file(file: Path) -> dict[str, Any]:
    try:
        result = json.loads(file.read_text())
    except ValueError as error:
        raise UserError(f"{file} is not JSON ({error}): delete it, and run the benchmark again") from error
    missing = [name for name in ("target", "method", "seed", "budget", "paths", "status") if name not in result]
    if missing:
        raise UserError(f"{file} is not a result of the benchmark, it has no {missing[0]}: move it elsewhere")
    return result


def unfinished(cells: Sequence[Cell], folder: Path, retry: bool = False) -> list[Cell]:
    """The cells without a result in ``folder``; with ``retry`` those that failed too.

    Raises ``UserError`` where the file of a cell holds another's result.
    """
    left = []
    for cell in cells:
        file = place(folder, cell)
        if not file.exists():
            left.append(cell)
            continue
        result = read_file(file)
        there, wanted = identity(result), identity(cell.as_json())
        if there != wanted:
            raise UserError(f"{file} is a result of {there}, not of {wanted}: take another --out")
        if retry and result["status"] == "failed":
            left.append(cell)
    return left
