"""docs/architecture.md names files and functions that are there, and every part at its rank; its picture is drawn."""

import ast
import re
from pathlib import Path

import pytest

from amortized.files.model import imported
from tests.test_architecture import FOLDERS, PACKAGE, RANKS

DOCS = PACKAGE.parent / "docs"
PAGE = (DOCS / "architecture.md").read_text()
NAMES = sorted(set(re.findall(r"`([\w/]+\.py)(?::([\w.]+))?`", PAGE)))


def defined(file: Path, name: str) -> bool:
    body: list[ast.stmt] = ast.parse(file.read_text()).body
    for part in name.split("."):
        found = [node for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == part]
        if not found:
            return False
        body = found[0].body
    return True


@pytest.mark.parametrize(("file", "name"), NAMES, ids=[":".join(pair) for pair in NAMES])
def test_what_the_page_names_is_there(file: str, name: str):
    root = PACKAGE.parent if file.startswith(("tests/", "benchmarks/")) else PACKAGE
    assert (root / file).is_file(), f"docs/architecture.md: {file} is not there"
    assert not name or defined(root / file, name), f"docs/architecture.md: {file} has no {name}"


def test_folders_that_the_page_names_are_there():
    named = {folder for folder in re.findall(r"`([\w/]+)/`", PAGE)}
    assert not [
        folder
        for folder in named
        if not any((root / folder).is_dir() for root in (PACKAGE, PACKAGE.parent, PACKAGE / "targets"))
    ]


def test_every_part_stands_at_its_rank():
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert {(int(rank), part) for rank, part in rows} == {
        (rank, part) for rank, parts in enumerate(RANKS, 1) for part in parts
    }
    assert len(rows) == sum(map(len, RANKS))


def test_the_picture_s_folders_are_there():
    boxes = imported(DOCS / "images" / "architecture.py").BOXES
    titles = [title for _, _, title, _ in boxes.values() if title != "Pyro model"]
    parts = {part.split("/")[0].removesuffix(".py") for title in titles for part in title.split(", ")}
    assert parts <= FOLDERS | {"path"}
    drawn = (DOCS / "images" / "architecture.svg").read_text()
    assert all(title in drawn for title in titles)
