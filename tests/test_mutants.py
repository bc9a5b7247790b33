"""The planter of faults: what it finds, what survives, what it cannot tell; and a list that does not rot."""

import io
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from amortized.files.model import imported

ROOT = Path(__file__).parents[1]
TOOL = imported(ROOT / "benchmarks" / "mutants.py")
MUTANTS, Mutant = TOOL.MUTANTS, TOOL.Mutant


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_fault_can_be_planted(mutant):
    assert TOOL.occurrences(mutant, ROOT) == 1, f"write the text of {mutant.name} as it is now, or leave it out"
    assert mutant.new != mutant.old and mutant.tests
    for test in mutant.tests:
        file, *names = test.split("::")
        text = (ROOT / "tests" / file).read_text()
        assert not names or f"def {names[0]}(" in text, f"{test} is not there"


def test_names_are_given_once_and_there_are_enough():
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 60


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """A package of one function, its test, and one that never ends for a count below zero."""
    for folder in ("amortized", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "amortized" / "__init__.py").write_text("")
    (tmp_path / "amortized" / "double.py").write_text("def double(x):\n    return 2 * x\n")
    (tmp_path / "tests" / "test_double.py").write_text(
        "from amortized.double import double\n\n\n"
        "def test_double():\n    x = double(3)\n    while x < 0:\n        pass\n    assert x == 6\n"
    )
    return tmp_path


def test_each_fault_meets_its_fate_and_the_package_stays_as_it_is(fake: Path, tmp_path_factory):
    def fault(name: str, old: str, new: str) -> Mutant:
        return Mutant(name, "double.py", old, new, ("test_double.py",))

    faults = [
        fault("wrong", "2 * x", "3 * x"),
        fault("the same", "2 * x", "x + x"),
        fault("no longer there", "4 * x", "x"),
        fault("there often", "x", "y"),
        fault("no Python", "return", "retrun"),
        fault("endless", "2 * x", "-2 * x"),
    ]
    prepared = TOOL.prepare(fake, tmp_path_factory.mktemp("prepared"))
    assert TOOL.failing(faults, prepared, 1, 20) == []
    *ending, endless = faults
    with redirect_stderr(io.StringIO()):  # the inner runs' own words, which a reader would take for ours
        found = [*TOOL.run(ending, prepared, 3, 20), *TOOL.run([endless], prepared, 1, 2)]
    assert {outcome.name: outcome.status for outcome in found} == {
        "wrong": "found",
        "the same": "survived",
        "no longer there": "did not apply",
        "there often": "did not apply",
        "no Python": "broken",
        "endless": "timed out",
    }
    assert (fake / "amortized" / "double.py").read_text() == "def double(x):\n    return 2 * x\n"
    assert TOOL.table(found).splitlines()[-1] == "1 found, 2 did not apply, 1 broken, 1 timed out, 1 survived"
    assert "its text is 0 times in amortized/double.py" in next(o.said for o in found if o.name == "no longer there")


def test_the_copy_has_every_module_and_no_committed_results(tmp_path: Path):
    prepared = TOOL.prepare(ROOT, tmp_path)
    modules = {file.relative_to(ROOT) for file in (ROOT / "amortized").rglob("*.py")}
    assert modules == {file.relative_to(prepared) for file in (prepared / "amortized").rglob("*.py")}
    assert not (prepared / "benchmarks" / "results").exists()


def test_a_test_that_fails_anyway_is_told_first(fake: Path, tmp_path_factory):
    (fake / "tests" / "test_double.py").write_text("def test_double():\n    assert False\n")
    mutant = Mutant("wrong", "double.py", "2 * x", "3 * x", ("test_double.py",))
    [found] = TOOL.failing([mutant], TOOL.prepare(fake, tmp_path_factory.mktemp("prepared")), 1, 20)
    assert (found.name, found.status) == ("test_double.py", "found") and "assert False" in found.said
