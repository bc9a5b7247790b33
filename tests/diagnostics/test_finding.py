"""The verdict and the advice are functions of the list of checks alone."""

import pytest

from amortized.diagnostics.finding import TRUSTWORTHY, UNTRUSTED, USABLE, Finding, advice, verdict


def check(name: str, passed: bool, leaves: str = UNTRUSTED) -> Finding:
    return Finding(name, "3", "under 2", passed, f"{name} is large", f"Write {name}=1.", leaves)


@pytest.mark.parametrize(
    ("checks", "expected"),
    [
        ([], TRUSTWORTHY),
        ([check("a", True)], TRUSTWORTHY),
        ([check("a", False, USABLE)], USABLE),
        ([check("a", False), check("b", False, USABLE)], UNTRUSTED),
    ],
)
def test_the_worst_failed_check_decides(checks, expected):
    assert verdict(checks) == expected


def test_what_decided_is_said_and_the_first_of_it_is_advised():
    assert advice([check("a", False, USABLE), check("b", True), check("c", False)]) == "C is large. Write c=1."
    assert advice([check("a", False), check("b", False)]) == "A is large; b is large. Write a=1."
    many = advice([check(name, False) for name in "abcd"])
    assert many == "A is large; b is large; and 2 more, in the table. Write a=1."
    assert advice([check("a", True)]).startswith("No action is needed.")


def test_a_failed_row_says_what_it_should_be():
    assert str(check("a", False)) == "3, should be under 2" and str(check("a", True)) == "3"
