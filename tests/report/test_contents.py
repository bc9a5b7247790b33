"""What a report is told: names, and the model's source."""

from amortized.report.contents import source
from tests.report.contents import made


def test_every_method_has_a_name_of_its_own():
    assert list(made().methods()) == ["guide", "nuts", "nuts 2"]


def test_source_of_a_function_and_of_what_has_none():
    assert source(made).startswith("def made(") and source(len) == ""
    assert source(eval("lambda: 0", {})) == ""
