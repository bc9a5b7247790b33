"""One cell of the benchmark: model x method x seed x budget, and its name."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from amortized.benchmark import truth
from amortized.benchmark.budget import Budget
from amortized.files.errors import UserError

EXACT = "exact draws"
"""The method of the cells that measure the noise floors; they have no budget."""

PATHS = 2_000
"""Paths and exact draws of a measurement: optimal transport between them, for W2, costs about their square."""

LIMIT_NAMES = {"seconds": "seconds", "steps": "steps", "energy_calls": "energy-calls"}
"""A budget's fields and their names in titles and file names."""


@dataclass(frozen=True)
class Cell:
    """``method`` on ``model(*data(*options))`` of the file at ``path``, trained within ``budget`` from ``seed``.

    ``paths``: the number of paths, and of exact draws, that measure it.
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
        """The method's name in tables; the folders of a method's file are left out.

        >>> Cell(Path("models/funnel.py"), (), "mine/own.py:train", 0, Budget(steps=10)).label
        'own:train'
        """
        file, _, function = self.method.rpartition(":")
        return f"{Path(file).stem}:{function}" if file.endswith(".py") else self.method

    @property
    def key(self) -> str:
        """The file name without its ending; a hash at its end where two cells could share the plain name.

        >>> Cell(Path("models/many_well.py"), (128,), "tb-expl", 0, Budget(steps=10)).key
        'many_well-128__tb-expl__steps-10__seed-0'
        >>> Cell(Path("models/many_well.py"), (-128,), "tb-expl", 0, Budget(steps=10)).key
        'many_well-128__tb-expl__steps-10__seed-0__57e887ab'
        """
        spent = [] if self.budget is None else [budget_text(self.budget)]
        measured = [] if self.paths == PATHS else [f"paths {self.paths}"]
        parts = [self.target, self.label, *spent, *measured, f"seed {self.seed}"]
        if not self.has_plain_name:
            clock = "" if self.budget is None else self.budget.clock
            parts.append(hashlib.sha256(f"{self.target} {clock}".encode()).hexdigest()[:8])
        return "__".join(map(slug, parts))

    @property
    def has_plain_name(self) -> bool:
        """Whether model and options are words and numbers without a sign, and seconds are the processor's."""
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


def slug(text: str) -> str:
    """Characters that every file system takes.

    >>> slug("log_gaussian_cox(20, True)"), slug("own:train")
    ('log_gaussian_cox-20-True', 'own-train')
    """
    return re.sub(r"[^\w.]+", "-", text).strip("-")


def budget_text(budget: Budget) -> str:
    """The one limit of a budget, in words.

    >>> budget_text(Budget(seconds=120.0)), budget_text(Budget(energy_calls=1_000_000))
    ('seconds 120', 'energy-calls 1000000')
    """
    [(name, value)] = [(name, getattr(budget, name)) for name in LIMIT_NAMES if getattr(budget, name) is not None]
    return f"{LIMIT_NAMES[name]} {value:.15g}"


def every_cell(
    models: Sequence[str], methods: Sequence[str], seeds: int, budget: Budget, paths: int = PATHS
) -> list[Cell]:
    """Every model with every method and seed 0 .. ``seeds - 1``, all of one seed before the next.

    Raises:
        UserError: Two cells would have one file name.
    """
    pairs = [(truth.parse_model_argument(model), method) for model in models for method in methods]
    cells = [Cell(*target, method, seed, budget, paths) for seed in range(seeds) for target, method in pairs]
    keys = Counter(cell.key for cell in cells)
    twice = next((cell for cell in cells if keys[cell.key] > 1), None)
    if twice is not None:
        raise UserError(f"{twice.target} with {twice.label} is there twice: give every model and method once")
    return cells
