"""The house: imports go only downwards and in no circle, files and functions stay small, ArviZ is met in one place."""

import ast
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "amortized"
FILES = sorted(PACKAGE.rglob("*.py"))
RANKS = [
    {"_types", "_torch", "_moved"},
    {"weights"},
    {"capture", "parallel", "processes", "policies", "mixtures", "storage", "display"},
    {"targets", "mcmc"},
    {"path"},
    {"simulation"},
    {"optimise", "objectives", "behaviours"},
    {"samplers", "warmup"},
    {"training"},
    {"diagnostics", "metrics", "amortization"},
    {"results", "plots"},
    {"report", "baselines", "files"},
    {"guide"},
    {"benchmark", "cli"},
    {"__init__", "__main__"},
]
"""A part imports parts of earlier lines only. At most eight modules lie beside the folders."""
RANK = {part: rank for rank, parts in enumerate(RANKS) for part in parts}
FOLDERS = {file.parts[len(PACKAGE.parts)] for file in FILES if len(file.parts) > len(PACKAGE.parts) + 1}
MOST_LINES, LONGEST_FUNCTION, MOST_PARAMETERS, MOST_MODULES, MOST_RANKS = 300, 60, 7, 8, 10


def part_of(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


@lru_cache
def tree_of(file: Path) -> ast.Module:
    return ast.parse(file.read_text())


def imported_modules(file: Path) -> list[str]:
    """Dotted names of every module that the file imports, at any depth; ``module.*`` for a star."""
    modules = []
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative imports hide the rank; write the full name"
            modules += [f"{node.module}.{alias.name}" for alias in node.names]
    return modules


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_the_house(file: Path):
    part, modules = part_of(file), imported_modules(file)
    ours = {name.split(".")[1] for name in modules if name.startswith("amortized.")}
    upwards = {other for other in ours - {part} if RANK.get(other, len(RANKS)) >= RANK[part]}
    assert not upwards, f"imports from the same or a higher rank: {sorted(upwards)}"
    assert not [name for name in modules if name.endswith(".*")]
    meets_arviz = any(name.split(".")[0] == "arviz" for name in modules)
    assert not meets_arviz or file == PACKAGE / "results" / "arviz.py", "only results/arviz.py imports ArviZ"
    assert len(file.read_text().splitlines()) <= MOST_LINES
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
            assert node.end_lineno - node.lineno < LONGEST_FUNCTION, f"{node.name} is too long"


def test_every_part_has_a_rank():
    assert {part_of(file) for file in FILES} == set(RANK)


def test_folders_lie_in_few_ranks_and_few_modules_beside_them():
    assert sum(bool(parts & FOLDERS) for parts in RANKS) <= MOST_RANKS
    assert len(list(PACKAGE.glob("*.py"))) <= MOST_MODULES


def test_no_module_imports_itself_in_a_circle():
    """Inside a part too; imports inside functions count."""
    graph, modules = {}, {module_name(file) for file in FILES}
    for file in FILES:
        found = set()
        for name in imported_modules(file):
            found |= {name} & modules or {name.rpartition(".")[0]} & modules
        graph[module_name(file)] = found - {module_name(file)}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


FACADES = {("baselines", "run")}
"""Functions of users, who give their options by name; constructors are such too."""


def parameters(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    named = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return len([name for name in named if name not in ("self", "cls")])


def test_functions_take_few_parameters():
    found = [
        f"{file.relative_to(PACKAGE)}: {node.name} takes {parameters(node)}"
        for file in FILES
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and parameters(node) > MOST_PARAMETERS
        and node.name != "__init__"
        and (part_of(file), node.name) not in FACADES
    ]
    assert not found
