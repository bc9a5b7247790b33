"""Files that appear whole or not at all, and the table of posterior moments that goes into one."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from amortized.diagnostics.comparison import LEVELS, Description
from amortized.files.errors import UserError


def check_writable(folder: Path) -> None:
    """Raises ``UserError`` if ``folder`` is not, or cannot become, a folder to write into."""
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    if not existing.is_dir():
        raise UserError(f"{existing} is a file, not a folder: type another --out")
    if not os.access(existing, os.W_OK):
        raise UserError(f"no permission to write into {existing}: type another --out")


@contextmanager
def together(folder: Path) -> Iterator[Path]:
    """A temporary folder whose files move into ``folder`` after the block; after an error in the block none does."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".unfinished-", dir=folder) as temporary:
        yield Path(temporary)
        for file in sorted(Path(temporary).iterdir()):
            os.replace(file, folder / file.name)


def write_summary(file: Path, by_method: Mapping[str, Sequence[Description]]) -> None:
    """Writes one CSV row for each scalar and method: mean, standard deviation, and quantiles 5, 50 and 95 %."""
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["parameter", "method", "mean", "sd", *(f"q{100 * level:02.0f}" for level in LEVELS)])
        for method, rows in by_method.items():
            writer.writerows([row.name, method, *(f"{number:.6g}" for number in row.figures)] for row in rows)
