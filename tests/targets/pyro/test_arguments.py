"""Arguments of another structure are refused by name; other values are not."""

import numpy as np
import pytest
import torch

from amortized.targets.pyro.arguments import Arguments


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
