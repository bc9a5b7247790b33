"""Old names of modules import, warn, and hand out what the new modules have."""

import importlib
import subprocess
import sys

import pytest

import amortized.guide
from amortized import DiffusionGuide
from amortized._moved import MOVED, _OldNames, install


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_an_old_name_warns_and_is_the_new_module(old, new, monkeypatch):
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}"):
        module = importlib.import_module(old)
    successor = importlib.import_module(new)
    public = [name for name in vars(successor) if not name.startswith("_")]
    assert public and all(getattr(module, name) is getattr(successor, name) for name in public)
    with pytest.raises(AttributeError):
        getattr(module, "no such name")
    taken = {}
    exec(f"from {old} import *", taken)
    assert set(public) <= set(taken)


def test_an_old_module_is_an_attribute_of_the_package():
    """``import amortized; amortized.recipe.Recipe``, as the last release allowed."""
    say = "import amortized; print(amortized.recipe.Recipe is amortized.Recipe, hasattr(amortized, 'no_such'))"
    out = subprocess.run([sys.executable, "-c", say], capture_output=True, text=True, check=True).stdout
    assert out.split() == ["True", "False"]


def test_it_is_installed_once():
    install()
    assert sum(isinstance(finder, _OldNames) for finder in sys.meta_path) == 1


def test_the_guide_imports_from_the_package_that_was_its_module():
    with pytest.warns(DeprecationWarning, match="write from amortized import DiffusionGuide"):
        assert amortized.guide.DiffusionGuide is DiffusionGuide
    with pytest.raises(AttributeError, match="no such name"):
        getattr(amortized.guide, "no such name")
