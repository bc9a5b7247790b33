"""What a report is told: names, and the model's source."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from amortized.report import contents_of, gather
from amortized.report.contents import source
from tests.report.contents import FOUND, made

FITTED: Any = SimpleNamespace(diagnose=lambda: FOUND, weights=lambda: torch.zeros(3))


def test_every_method_has_a_name_of_its_own():
    assert list(made().methods()) == ["guide", "nuts", "nuts 2"]


def test_methods_with_a_space_in_their_names_are_all_kept():
    draws = made().draws
    typed = ["my nuts", "my nuts", "guide", "my nuts", "my nuts 2", "nuts"]
    contents = made(baselines=[replace(draws, method=method) for method in typed])
    assert list(contents.methods()) == ["guide", "my nuts", "my nuts 2", "guide 2", "my nuts 3", "my nuts 2 2", "nuts"]


def test_source_of_a_function_and_of_what_has_none():
    assert source(made).startswith("def made(") and source(len) == ""
    assert source(eval("lambda: 0", {})) == ""


def test_a_density_that_is_not_a_model_has_no_predictive_check():
    found = contents_of(FITTED, made().draws, made)
    assert found.title == "made" and found.diagnosis is FOUND and found.log_weights.shape == (3,)
    assert not found.observed and not found.replicated and found.environment["seed"] == "not known"


def test_the_name_of_the_last_release_warns():
    with pytest.deprecated_call(match="contents_of"):
        found = gather(FITTED, made().draws, made, title=None, truth=-2.0)
    assert found.title == "made" and found.truth == -2.0
