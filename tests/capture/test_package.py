"""The recorder can be taken out of the library: it needs torch alone."""

import ast
from pathlib import Path

import amortized.capture


def test_capture_knows_neither_pyro_nor_targets():
    files = Path(amortized.capture.__file__).parent.glob("*.py")
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    assert {name for name in modules if name and name.startswith(("amortized", "pyro"))} == {
        "amortized._types",
        *(f"amortized.capture.{name}" for name in ("broadcasting", "known", "tape", "template")),
    }
    assert not any(alias.name == "pyro" for node in nodes if isinstance(node, ast.Import) for alias in node.names)
