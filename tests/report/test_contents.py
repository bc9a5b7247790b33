"""What a report is told: names, and the model's source."""

from dataclasses import replace

from amortized.report.contents import source
from tests.report.contents import made


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
