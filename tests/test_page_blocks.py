"""Every Python block of README.md and docs/ runs as printed: a page's blocks in order, in a folder of their own."""

import ast
from pathlib import Path

import matplotlib
import pytest

from tests.pages import PAGES, fenced, indented, run

SLOW = {
    "README.md",
    *(
        f"docs/{name}.md"
        for name in (
            "amortized arviz baselines behaviours calibration coordinates data_parallel diagnosis gpu guide "
            "model_comparison notebooks report samplers saving start vae_posterior writing_models"
        ).split()
    ),
}
"""Pages that take more than a second: nearly all fit a guide."""
FILES = "docs/extending.md"
"""Its blocks are files, which ``tests/objectives/test_extending.py`` saves where the page says, and runs there."""
WITH_PYTHON = [
    name
    for name, page in PAGES.items()
    if name != FILES and any(block.language == "python" for block in fenced(page.read_text()))
]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in WITH_PYTHON]
)
def test_the_blocks_of_a_page_run_as_printed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    matplotlib.use("agg")
    blocks = [block for block in fenced(PAGES[name].read_text()) if block.language == "python"]
    run(blocks, tmp_path / PAGES[name].with_suffix(".py").name, monkeypatch)


@pytest.mark.parametrize("name", PAGES)
def test_no_python_hides_outside_of_a_python_block(name: str):
    """What parses, and imports, assigns or ends in a method's call, is a program that no test runs."""
    page = PAGES[name].read_text()
    others = [block for block in [*fenced(page), *indented(page)] if block.language != "python"]
    hidden = [block for block in others if is_python(block.text)]
    assert not hidden, f"{name}:{hidden[0].line} is Python: write ```python, so that it runs"


def is_python(text: str) -> bool:
    """
    >>> is_python("import torch"), is_python("x = f(y)"), is_python("make test"), is_python("draws.log_evidence")
    (True, True, False, False)
    """
    try:
        body = ast.parse(text).body
    except SyntaxError:
        return ">>>" in text
    told = ast.Import, ast.ImportFrom, ast.Assign, ast.FunctionDef, ast.ClassDef, ast.Call
    return any(isinstance(node, told) for statement in body for node in ast.walk(statement))


def test_slow_pages_are_there():
    assert set(WITH_PYTHON) >= SLOW
