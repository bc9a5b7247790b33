"""Arguments get their names and become tensors; those of another structure are refused by name."""

import functools

import numpy as np
import pytest
import torch

from amortized.targets.pyro.arguments import Arguments, bound_arguments, call_with_tensors, parts_by_name
from amortized.targets.pyro.trace import ModelError


def model(y, scale, groups=None):
    return y, scale, groups


BUILT = Arguments(model, (torch.zeros(4), 1.0), {"groups": {"a": [1, 2]}})


def test_other_values_pass():
    BUILT.check((torch.ones(4), 2.5), {"groups": {"a": [7, 8]}})
    BUILT.check((), {"y": torch.ones(4), "scale": 2.5, "groups": {"a": [7, 8]}})
    BUILT.check((np.ones(4), 2.5), {"groups": {"a": np.array([7, 8])}})
    BUILT.check(([1.0, 2.0, 3.0, 4.5], 2.5), {"groups": {"a": [7, 8]}})


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((torch.zeros(3), 1.0), {"groups": {"a": [1, 2]}}, r"'y' is a float32 tensor of shape \(3,\).*shape \(4,\)"),
        ((torch.zeros(4).double(), 1.0), {"groups": {"a": [1, 2]}}, "'y' is a float64 tensor.*a float32 tensor"),
        ((np.zeros(3), 1.0), {"groups": {"a": [1, 2]}}, r"'y' is a float32 tensor of shape \(3,\)"),
        ((torch.zeros(4), 1), {"groups": {"a": [1, 2]}}, "'scale' is of type int.*of type float"),
        ((torch.zeros(4), 1.0), {"groups": {"a": [1, 2, 3]}}, r"groups\['a'\].*int64 tensor of shape \(3,\).*\(2,\)"),
        ((torch.zeros(4), 1.0), {}, "'groups' is missing"),
        ((torch.zeros(4),), {"groups": {"a": [1, 2]}}, "'scale' is missing|is missing"),
    ],
)
def test_another_structure_is_refused(args, kwargs, message):
    with pytest.raises(ValueError, match=message):
        BUILT.check(args, kwargs)


def test_an_argument_too_many():
    with pytest.raises(ValueError, match="a call without it"):
        Arguments(model, (torch.zeros(4), 1.0), {}).check((torch.zeros(4), 1.0), {"groups": None})


def test_modules_are_known_by_their_forward():
    built = Arguments(torch.nn.Linear(2, 1), (torch.zeros(2),), {})
    with pytest.raises(ValueError, match="argument 'input'"):
        built.check((torch.zeros(3),), {})


def taking(x, y, scale=1.0, *, mask=None):
    return x, y, scale, mask


def test_a_call_has_its_arguments_converted():
    args, kwargs = call_with_tensors(taking, (np.zeros(2), [1.0, 2.0]), {"mask": np.array([True, False])})
    assert [value.dtype for value in args] == [torch.float32] * 2 and kwargs["mask"].dtype == torch.bool
    with pytest.raises(ValueError, match="argument 'y' holds"):
        call_with_tensors(taking, (np.zeros(2), np.array(["a"])), {})


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        (
            (1,),
            {},
            r"taking\(x, y.* called with 1 argument: missing a required argument: 'y'; write guide.fit\(x, y\)",
        ),
        ((), {}, r"was called with no argument: missing a required argument: 'x'"),
        ((1, 2), {"z": 3}, r"called with 2 arguments and z=: got an unexpected keyword argument 'z'"),
        ((1, 2, 3, 4), {}, "called with 4 arguments: too many positional arguments"),
        (
            (1, 2),
            {"max_seconds": "60"},
            r"max_seconds=60 is an option of the guide, .* taking.* DiffusionGuide\(model, max_seconds=60\).fit\(x, y",
        ),
    ],
)
def test_a_call_that_does_not_fit_is_refused(args, kwargs, message):
    with pytest.raises(ModelError, match=message):
        call_with_tensors(taking, args, kwargs)
    with pytest.raises(ModelError, match=message):
        bound_arguments(taking, args, kwargs)


def test_a_decorator_that_brings_the_data_is_a_legal_model():
    @functools.wraps(taking)
    def with_data():
        return taking(1, 2)

    assert call_with_tensors(with_data, (), {}) == ((), {})


def test_arguments_have_names_at_any_depth():
    data = {"y": [torch.zeros(2), 1], "names": ["a", "b"]}
    found = parts_by_name(lambda x, data: None, (torch.zeros(2), data), {"more": (2,)})
    assert list(found) == ["x", "data['y'][0]", "data['y'][1]", "data['names']", "more[0]"]
