"""The pages that readers open, and the code in them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
FOUND = [page for page in sorted((ROOT / "docs").rglob("*")) if "_build" not in page.parts]
"""Everything in docs/ but the site that is built there."""
PAGES = {str(page.relative_to(ROOT)): page for page in [ROOT / "README.md", *FOUND] if page.suffix == ".md"}
NOTEBOOKS = {str(page.relative_to(ROOT)): page for page in FOUND if page.suffix == ".ipynb"}
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    .*\n(?:\n+(?=    ))?)+", re.MULTILINE)


class Block(NamedTuple):
    """Code of a page: the word behind its fence, or "indented"; the number of its first line; its text."""

    language: str
    line: int
    text: str


def fenced(page: str) -> list[Block]:
    """
    >>> fenced("Look:\\n\\n```python\\nx = 1\\n```\\n")
    [Block(language='python', line=4, text='x = 1\\n')]
    """
    return [Block(found[1], page.count("\n", 0, found.start(2)) + 1, found[2]) for found in FENCE.finditer(page)]


def outside_fences(page: str) -> str:
    """The page with every line of its fences left blank."""
    return FENCE.sub(lambda found: "\n" * found[0].count("\n"), page)


def indented(page: str) -> list[Block]:
    """
    >>> indented("Look:\\n\\n    make test\\n\\n    make slow\\n")
    [Block(language='indented', line=3, text='make test\\n\\nmake slow\\n')]
    """
    rest = outside_fences(page)
    return [
        Block("indented", rest.count("\n", 0, found.start()) + 1, re.sub("^    ", "", found[0], flags=re.MULTILINE))
        for found in INDENTED.finditer(rest)
    ]


def cells(notebook: Path) -> list[dict[str, Any]]:
    return json.loads(notebook.read_text())["cells"]


def run(blocks: list[Block], file: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run blocks in order, as one module from the folder of ``file``, whose lines have the page's numbers.

    A traceback then names the line of the page, and the library can quote the model's source.
    """
    page = ModuleType("page")
    page.__file__ = str(file)
    patch.chdir(file.parent)
    patch.setitem(sys.modules, "page", page)
    text = ""
    for block in blocks:
        text += "\n" * (block.line - 1 - text.count("\n")) + block.text
        file.write_text(text)
        exec(compile("\n" * (block.line - 1) + block.text, str(file), "exec"), page.__dict__)
    return page.__dict__
