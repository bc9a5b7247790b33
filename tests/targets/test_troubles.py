"""What goes wrong is counted by kind, and an exception that a model raises on purpose is none."""

import torch

import amortized
from amortized.targets.troubles import OutsideSupport, Troubles, first_line


def test_kinds_are_counted_and_only_the_first_is_asked_for_its_site():
    troubles = Troubles()
    troubles.evaluations = 1_000
    for count in (1, 2):
        troubles.add("a log density of NaN", count, lambda count=count: f"first at site {count}")
    troubles.raised(ValueError("bad\nTrace Shapes:"))
    troubles.raised(torch.linalg.LinAlgError("singular"))
    assert troubles.total == 5
    assert troubles.sentences() == [
        "a log density of NaN at 3 (0.3 %) of 1,000 points, first at site 1",
        "ValueError at 1 (0.1 %) of 1,000 points, “bad”",
        "LinAlgError at 1 (0.1 %) of 1,000 points, “singular”",
    ]
    assert troubles.sentences("draws", only_own=True) == ["ValueError at 1 (0.1 %) of 1,000 draws, “bad”"]


def test_an_exception_on_purpose_is_no_trouble():
    troubles = Troubles()
    troubles.raised(OutsideSupport("outside"))
    assert troubles.total == 0 and troubles.sentences() == []
    assert amortized.OutsideSupport is OutsideSupport


def test_an_exception_without_words():
    assert first_line(ValueError()) == "no message" and first_line(ValueError("\n one\ntwo")) == "one"
    assert first_line(ValueError("\nTrace Shapes:\n Param Sites:")) == "no message"


def test_pyros_two_lines():
    error = ValueError("Error while computing log_prob at site 'y':\nbad value\nmore")
    assert first_line(error).endswith("'y': bad value")
