"""Contexts as rows: there and back, sets with missing rows, and what is said of data that do not fit."""

import numpy as np
import pytest
import torch

from amortized.targets.conditional.contexts import ContextPart, Contexts

FLOATS = ContextPart("y", torch.Size([3]), torch.float32, True)
TABLE = ContextPart("x", torch.Size([2, 2]), torch.float64, True)
COUNTS = ContextPart("count", torch.Size([]), torch.int64, False)


def sets(*names: str) -> Contexts:
    """Sets of up to four rows of two numbers."""
    parts = [ContextPart(name, torch.Size([4, 2]), torch.float32, True) for name in names]
    return Contexts(parts, torch.float32, ragged=True)


def test_rows_hold_all_parts_side_by_side():
    contexts = Contexts([FLOATS, TABLE, COUNTS], torch.float64)
    values = torch.randn(5, 3), torch.randn(5, 2, 2).double(), torch.arange(5)
    rows, alone = contexts.rows(values)
    assert rows.shape == (5, contexts.size) == (5, 8) and rows.dtype == torch.float64 and not alone
    assert contexts.names == ("y", "x", "count")
    for part, back, value in zip(contexts.parts, contexts.split(rows), values, strict=True):
        assert back.shape == (5, *part.shape)
        torch.testing.assert_close(back, value.double())
    assert contexts.split(rows.expand(7, 5, 8))[1].shape == (7, 5, 2, 2)


def test_one_data_set_is_known_by_its_shape():
    contexts = Contexts([FLOATS, COUNTS], torch.float32)
    rows, alone = contexts.rows([torch.ones(3), torch.tensor(4)])
    assert alone and rows.tolist() == [[1.0, 1.0, 1.0, 4.0]]
    rows, alone = contexts.rows([torch.ones(1, 3), torch.tensor([4])])
    assert not alone and rows.tolist() == [[1.0, 1.0, 1.0, 4.0]]
    rows, alone = contexts.rows([[torch.ones(3), torch.zeros(3)], [torch.tensor(4), torch.tensor(5)]])
    assert not alone and rows.tolist() == [[1.0, 1.0, 1.0, 4.0], [0.0, 0.0, 0.0, 5.0]]


def test_smaller_sets_end_with_rows_of_nan():
    contexts = sets("y")
    small, large = torch.tensor([[1.0, 2.0]]), torch.arange(8.0).reshape(4, 2)
    rows, alone = contexts.rows([[small, large]])
    assert not alone and rows.shape == (2, 8)
    assert torch.equal(rows[0, :2], small[0]) and rows[0, 2:].isnan().all() and torch.equal(rows[1], large.flatten())
    assert contexts.present(rows, contexts.parts[0]).tolist() == [[True, False, False, False], [True] * 4]
    rows, alone = contexts.rows([small])
    assert alone and rows.shape == (1, 8)
    rows, alone = contexts.rows([large[None].expand(3, 4, 2)])
    assert not alone and rows.shape == (3, 8)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.ones(4), r"'y' is a tensor of shape \(4,\): pass \(3,\) for one data set or \(M, 3\) for M of them"),
        (torch.ones(2, 2, 3), r"'y' is a tensor of shape \(2, 2, 3\)"),
        (torch.tensor(1.0), r"'y' is a tensor of shape \(\)"),
        (
            torch.full((3,), 0.1).double() + 1e-12,
            r"'y' is a float64 tensor, .* fitted on float32, .* y.to\(torch.float32",
        ),
        (torch.full((3,), 2**24 + 1), r"'y' is a int64 tensor, .* would lose digits"),
        (1.5, r"'y' is a tensor of shape \(\): pass \(3,\)"),
        ([1.0, 2.0], r"'y' is a tensor of shape \(2,\): pass \(3,\)"),
        ("1.5", r"'y' is a str: write a tensor, an array or a list of numbers"),
        ([1.0, "2"], r"'y' holds float and str: write tensors, arrays or lists of numbers, one a data set"),
        (np.array(["a"]), r"argument 'y' holds 'a', which is no number: write pandas.factorize\(y\)\[0\]"),
        ([], r"'y' is an empty list: pass at least one data set"),
        ([torch.ones(3), torch.ones(4)], r"'y' holds tensors of shapes \[\(3,\), \(4,\)\]: pass \(3,\) for each"),
        (torch.tensor([1.0, torch.nan, torch.inf]), r"'y': 2 of its 3 values are NaN or infinite; .*poutine.mask"),
    ],
)
def test_a_value_that_does_not_fit_is_named(value, message):
    with pytest.raises(ValueError, match=message):
        Contexts([FLOATS], torch.float32).rows([value])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.ones(5, 2), r"'y' holds a set of shape \(5, 2\): pass sets of 1 to 4 rows of shape \(2,\)"),
        (torch.ones(0, 2), r"'y' holds a set of shape \(0, 2\)"),
        ([torch.ones(2, 2), torch.ones(2, 3)], r"'y' holds a set of shape \(2, 3\)"),
        ([torch.ones(2, 2), 1.0], r"'y' is a float: write a tensor, an array or a list of numbers"),
        (1.0, r"'y' holds a set of shape \(\)"),
        ([], r"'y' is an empty list: pass at least one data set"),
        ([torch.full((2, 2), torch.nan)], r"'y': 4 of its 4 values are NaN"),
    ],
)
def test_a_set_that_does_not_fit_is_named(value, message):
    with pytest.raises(ValueError, match=message):
        sets("y").rows([value])


def test_parts_must_agree():
    contexts = Contexts([FLOATS, COUNTS], torch.float32)
    with pytest.raises(ValueError, match=r"3 values for 'y', 'count': pass one for each, in this order"):
        contexts.rows([torch.ones(3), 4, 5])
    with pytest.raises(ValueError, match=r"no value for 'count': the guide was fitted on 'y', 'count', write count="):
        contexts.rows([torch.ones(3)])
    with pytest.raises(ValueError, match=r"\('y', 'count'\) hold \[2, 5\] data sets"):
        contexts.rows([torch.ones(2, 3), torch.arange(5)])
    with pytest.raises(ValueError, match="'y' and 'x' differ in the number of rows of a set"):
        sets("x", "y").rows([[torch.ones(2, 2), torch.ones(1, 2)], [torch.ones(2, 2), torch.ones(2, 2)]])
