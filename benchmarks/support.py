"""What the scripts of this folder share: where files lie, how a script reads its options, how it writes results."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from amortized.benchmark.records import without_infinities, write_whole

ROOT = Path(__file__).resolve().parents[1]
MODELS = ROOT / "models"
RESULTS = ROOT / "benchmarks" / "results"
IMAGES = ROOT / "docs" / "images"


def parser_of(script_doc: str | None) -> argparse.ArgumentParser:
    """A parser whose ``--help`` shows the script's own page as it is written."""
    return argparse.ArgumentParser(description=script_doc, formatter_class=argparse.RawDescriptionHelpFormatter)


def write_json(file: Path, content: Any) -> None:
    """Write ``content``, infinities as text since JSON has none; makes the folder."""
    write_whole(file, json.dumps(without_infinities(content), indent=1, allow_nan=False) + "\n")


def markdown_row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"
