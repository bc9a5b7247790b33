"""The house: imports go only downwards, files and functions stay small, ArviZ is met in one place."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "amortized"
FILES = sorted(PACKAGE.rglob("*.py"))
RANKS = [
    {"_types"},
    {"estimate"},
    {"targets", "processes", "policies", "mcmc"},
    {"path"},
    {"objectives", "behaviours", "diagnostics", "warmup"},
    {"posterior_draws"},
    {"samplers", "callbacks", "fit"},
    {"settings", "recipe", "rounds", "mass_search"},
    {"preparation", "posterior"},
    {"single", "amortization"},
    {"report"},
    {"emission"},
    {"replicas"},
    {"model_file"},
    {"outputs"},
    {"guide", "baselines"},
    {"guides", "model_comparison"},
    {"benchmark"},
    {"cli"},
    {"__init__", "__main__"},
]
RANK = {part: rank for rank, parts in enumerate(RANKS) for part in parts}


def part_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_modules(file: Path) -> list[str]:
    """Dotted names of every module that the file imports, at any depth; ``module.*`` for a star."""
    modules = []
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide the rank; write the full name"
            modules += [f"{node.module}.{alias.name}" for alias in node.names]
    return modules


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_house(file: Path):
    part, modules = part_of(file), imported_modules(file)
    ours = {name.split(".")[1] for name in modules if name.startswith("amortized.")}
    upwards = {other for other in ours - {part} if RANK.get(other, len(RANKS)) >= RANK[part]}
    assert not upwards, f"imports from the same or a higher rank: {sorted(upwards)}"
    assert not [name for name in modules if name.endswith(".*")]
    meets_arviz = any(name.split(".")[0] == "arviz" for name in modules)
    assert not meets_arviz or file == PACKAGE / "diagnostics" / "arviz.py", "only results/arviz.py imports ArviZ"
    assert len(file.read_text().splitlines()) <= 300
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            assert node.end_lineno - node.lineno < 60, f"{node.name} is longer than 60 lines"


def test_every_part_has_a_rank():
    assert {part_of(file) for file in FILES} <= set(RANK)
