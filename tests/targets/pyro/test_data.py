"""Data as users have them become tensors; what is no number is refused by name."""

from collections import namedtuple

import numpy as np
import pandas
import pytest
import torch

from amortized.targets.pyro.data import as_tensors, bound, call_with_tensors
from amortized.targets.pyro.trace import ModelError

Pair = namedtuple("Pair", ["one", "two"])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([0.5, 1.5]), torch.tensor([0.5, 1.5])),
        (np.array([0.5], dtype=np.float16), torch.tensor([0.5])),
        (np.array([1, 2], dtype=np.int32), torch.tensor([1, 2])),
        (np.array([1, 2], dtype=np.uint8), torch.tensor([1, 2])),
        (np.array([1.5], dtype=">f8"), torch.tensor([1.5])),
        (np.array([True, False]), torch.tensor([True, False])),
        (np.array(2.5), torch.tensor(2.5)),
        (np.zeros((2, 0)), torch.zeros(2, 0)),
        ([1, 2, 3], torch.tensor([1, 2, 3])),
        ([1, 2.5], torch.tensor([1.0, 2.5])),
        ([True, False], torch.tensor([True, False])),
        ([[1.0, 2.0], [3.0, 4.0]], torch.tensor([[1.0, 2.0], [3.0, 4.0]])),
        ([np.float64(1.0), np.int64(2)], torch.tensor([1.0, 2.0])),
        (pandas.Series([1, 2]), torch.tensor([1, 2])),
        (pandas.Series([1, 2], dtype="Int64"), torch.tensor([1, 2])),
        (pandas.Series([1.0, np.nan]), torch.tensor([1.0, torch.nan])),
        (pandas.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}), torch.tensor([[1.0, 0.5], [2.0, 1.5]])),
        (pandas.DataFrame({"a": [1, 2], "b": [True, False]}), torch.tensor([[1, 1], [2, 0]])),
        (pandas.Series([1.0, 2.0], index=[7, 3]).iloc[::-1], torch.tensor([2.0, 1.0])),
    ],
)
def test_numbers_become_tensors(value, expected):
    found = as_tensors(value, "y")
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize(
    "value", [1, 2.0, True, None, "gauss", (8, 2), ["a", "b"], [], [1.0, "a"], {"n": 3}, torch.add]
)
def test_settings_stay_as_they_are(value):
    assert as_tensors(value, "y") is value


def test_tensors_are_the_same_tensors():
    one, two = torch.zeros(3, dtype=torch.float64), torch.ones(2)
    sets = [one, two]
    assert as_tensors(one, "y") is one and as_tensors(sets, "y") is sets


def test_what_lies_inside_is_converted_there():
    found = as_tensors({"x": np.ones(2), "more": (np.array([1]), "a"), "pair": Pair([1.0], 2)}, "data")
    assert torch.equal(found["x"], torch.ones(2)) and found["more"][1] == "a"
    assert torch.equal(found["more"][0], torch.tensor([1]))
    assert isinstance(found["pair"], Pair) and torch.equal(found["pair"].one, torch.tensor([1.0]))
    sets = as_tensors([[1.0, 2.0], [3.0]], "y")
    assert isinstance(sets, list) and [len(one) for one in sets] == [2, 1]
    assert [tuple(one.shape) for one in as_tensors([np.zeros((2, 3)), np.zeros((1, 3))], "y")] == [(2, 3), (1, 3)]


def test_floats_have_the_default_dtype_or_the_one_asked_for():
    assert as_tensors(np.zeros(2), "y", torch.float64).dtype == torch.float64
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert as_tensors(np.zeros(2, dtype=np.float32), "y").dtype == torch.float64
        assert as_tensors([1.0], "y").dtype == torch.float64
    finally:
        torch.set_default_dtype(before)


def test_a_later_change_of_the_array_changes_nothing():
    array = np.array([1, 2])
    found = as_tensors(array, "y")
    array[0] = 9
    assert found.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            np.array(["a", "b"]),
            r"argument 'y' holds <U1 values, which are no numbers: write pandas.factorize\(y\)\[0\]",
        ),
        (pandas.Series(["a", "b"]), r"argument 'y' holds 'a', which is no number: write pandas.factorize\(y\)\[0\]"),
        (pandas.Series(["1.5", "2"]), r"argument 'y' holds '1.5', a number as text: write y.astype\(float\)$"),
        (np.array(["1.5", "2"]), r"argument 'y' holds numbers as text, '1.5': write y.astype\(float\)$"),
        (
            pandas.Series(["1.5", "n/a", "2"]),
            r"argument 'y' holds 'n/a', which is no number: write pandas.to_numeric\(y, errors='coerce'\)",
        ),
        (pandas.Series(["1,5", "2"]), r"'y' holds '1,5', .*: write y.str.replace\(',', '.'\).astype\(float\)$"),
        (pandas.DataFrame({"a": [1.0], "b": ["2"]}), r"\"y\['b'\]\" holds '2', a .*: write y\['b'\].astype\(float\)$"),
        (np.array([1, None], dtype=object), r"argument 'y' holds None, which is no number: write y.dropna\(\)"),
        (pandas.DataFrame({"a": [1.0], "name": ["x"]}), r"argument \"y\['name'\]\" holds 'x', which is no number"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), r"argument 'y' holds datetime64\[D\] values"),
        (np.ma.masked_less([1.0, -1.0], 0.0), r"argument 'y' is a masked array: write y.filled\(0.0\)"),
        ({"x": np.array(["a"])}, r"argument \"y\['x'\]\" holds <U1 values"),
    ],
)
def test_what_is_no_number_is_refused_by_name(value, message):
    with pytest.raises(ValueError, match=message):
        as_tensors(value, "y")


def model(x, y, scale=1.0, *, mask=None):
    return x, y, scale, mask


def test_a_call_has_its_arguments_converted():
    args, kwargs = call_with_tensors(model, (np.zeros(2), [1.0, 2.0]), {"mask": np.array([True, False])})
    assert [value.dtype for value in args] == [torch.float32] * 2 and kwargs["mask"].dtype == torch.bool
    with pytest.raises(ValueError, match="argument 'y' holds"):
        call_with_tensors(model, (np.zeros(2), np.array(["a"])), {})


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        (
            (1,),
            {},
            r"model\(x, y.* called with 1 argument: missing a required argument: 'y'; write guide.fit\(x, y\)",
        ),
        ((), {}, r"was called with no argument: missing a required argument: 'x'"),
        ((1, 2), {"z": 3}, r"called with 2 arguments and z=: got an unexpected keyword argument 'z'"),
        ((1, 2, 3, 4), {}, "called with 4 arguments: too many positional arguments"),
        (
            (1, 2),
            {"max_seconds": "60"},
            r"max_seconds=60: of the guide, not an argument of .* DiffusionGuide\(model, max_seconds=60\).fit\(x, y\)",
        ),
    ],
)
def test_a_call_that_does_not_fit_is_refused(args, kwargs, message):
    with pytest.raises(ModelError, match=message):
        call_with_tensors(model, args, kwargs)
    with pytest.raises(ModelError, match=message):
        bound(model, args, kwargs)


def test_a_decorator_that_brings_the_data_is_a_legal_model():
    import functools

    @functools.wraps(model)
    def with_data():
        return model(1, 2)

    assert call_with_tensors(with_data, (), {}) == ((), {})


def test_digits_that_matter_are_not_rounded_away():
    """Julian dates a few hours apart: in float32 they lie a quarter of a day apart."""
    days = 2_459_000 + np.array([0.0, 0.41, 0.93, 1.15])
    with pytest.raises(ValueError, match=r"argument 'days' differs by 0.45 and would be rounded by 0.1: write days - "):
        as_tensors(days, "days")
    assert as_tensors(days - days.min(), "days").dtype == torch.float32
    assert as_tensors(days, "days", torch.float64)[1] == days[1]
    assert as_tensors(np.full(3, 2_459_000.41), "constant").dtype == torch.float32
