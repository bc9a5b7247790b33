"""What a model raises names the user's own line, and warnings point at it."""

import pytest
import torch

from amortized.targets.pyro.failures import in_words, tell
from amortized.targets.pyro.trace import ModelError


def multiply(x, w):
    return x @ w


def test_an_error_names_line_and_shapes():
    with (
        pytest.raises(
            ModelError,
            match=r"raises RuntimeError: .* in line \d+ of test_failures.py, return x @ w; .*x \(3, 2\), w \(3,\)",
        ),
        in_words(multiply, (torch.ones(3, 2), torch.ones(3)), {}),
    ):
        multiply(torch.ones(3, 2), torch.ones(3))


def test_an_error_that_names_the_fault_loses_pyros_table():
    with pytest.raises(ModelError) as caught, in_words(multiply, (), {}):
        raise ModelError("site 'x'\nTrace Shapes:\n Param Sites:")
    assert str(caught.value) == "site 'x'"


def test_other_errors_are_the_users_own():
    with pytest.raises(KeyError), in_words(multiply, (), {}):
        raise KeyError("site")


def test_an_exception_without_words_does_not_show_pyros_table():
    table = "\nTrace Shapes:\n Param Sites:\nSample Sites:"
    with pytest.raises(ModelError, match="raises ValueError: no message in line") as caught, in_words(multiply, (), {}):
        raise ValueError(table)
    assert "Shapes" not in str(caught.value)


def test_a_warning_points_at_the_caller():
    with pytest.warns(UserWarning, match="hello") as caught:
        tell("hello")
    assert caught[0].filename == __file__
