"""What a start loads: help without torch, the package without what only pictures, pages and records need."""

import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import amortized
from amortized.benchmark.cells import PATHS
from amortized.benchmark.command import add_commands
from amortized.cli import parser
from amortized.cli.baselines import BASELINES
from amortized.cli.methods import AS_TYPED
from amortized.results.counts import NUM_SAMPLES

HELP = "import sys\nfrom amortized.__main__ import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"


def loaded(code: str, *argv: str) -> set[str]:
    """Names of the modules that a process has loaded after ``code``."""
    said = code + "\nimport sys; print('loaded', *sys.modules)"
    out = subprocess.run([sys.executable, "-c", said, *argv], capture_output=True, text=True, check=True).stdout
    return set(out.splitlines()[-1].split())


HELPS = ["--version", "--help", "fit --help", "info --help", "bench --help", "bench run --help"]


@pytest.mark.parametrize("argv", HELPS)
def test_help_loads_no_torch(argv: str):
    found = loaded(HELP, *argv.split())
    assert "amortized.cli" in found and not found & {"torch", "pyro", "numpy", "scipy", "matplotlib"}


def test_the_guide_loads_nothing_that_only_pages_and_records_need():
    found = loaded("from amortized import DiffusionGuide")
    assert "amortized.guide.guide" in found
    assert not found & {"scipy.stats", "matplotlib", "jinja2", "arviz", "torch._dynamo"}


def test_every_public_name_is_what_type_checkers_see():
    """The imports for type checkers, ``__all__`` and what loads are the same names."""
    tree = ast.parse(Path(amortized.__file__).read_text())
    [seen] = [node for node in tree.body if isinstance(node, ast.If)]
    lines = [node for node in seen.body if isinstance(node, ast.ImportFrom)]
    imports = {alias.name: node.module for node in lines for alias in node.names}
    assert imports == amortized._MODULES and set(imports) == set(amortized.__all__) <= set(dir(amortized))
    for name in amortized.__all__:
        assert pickle.loads(pickle.dumps(getattr(amortized, name))) is getattr(amortized, name)


def test_a_star_and_a_module_load_as_ever():
    assert "amortized.guide.guide" in loaded("from amortized import *\nDiffusionGuide, compare")
    assert "amortized.weights" in loaded("import amortized\namortized.weights.Estimate")


def test_the_command_line_says_the_defaults_that_run(capsys):
    assert set(AS_TYPED) == set(BASELINES)
    with pytest.raises(SystemExit):
        parser().parse_args(["fit", "-h"])
    assert f"posterior draws (default {NUM_SAMPLES})" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit):
        parser(add_commands).parse_args(["bench", "run", "-h"])
    assert f"to measure by (default {PATHS})" in " ".join(capsys.readouterr().out.split())
