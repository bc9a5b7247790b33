"""Data as users have them: arrays, columns and lists as tensors, and observed values in a dtype of their density."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from functools import reduce
from typing import Any

import numpy as np
import torch
from pyro.distributions import constraints
from pyro.poutine.messenger import Messenger

from amortized._types import Tensor
from amortized.targets.pyro.checks.ranges import parameters_of

Message = dict[str, Any]
"""What Pyro tells its handlers of one statement."""


def as_tensors(value: Any, name: str, dtype: torch.dtype | None = None) -> Any:
    """``value`` with every array, Series, DataFrame and list of numbers in it as a tensor of its own memory.

    A DataFrame becomes ``(rows, columns)``. Whole numbers become int64, truth values bool. Tensors, numbers, strings,
    None, tuples of numbers (sizes, settings) and lists of other things stay. Containers keep their structure.

    Args:
        value: Any argument of a model.
        name: Its name, for error messages.
        dtype: Of floats; torch's default dtype by default.

    Raises:
        ValueError: An array holds something other than numbers, or ``dtype`` would round its differences away.

    >>> as_tensors([1, 2], "counts"), as_tensors(np.ones(2), "y").dtype, as_tensors({"x": [[0.5], [1.0]]}, "d")
    (tensor([1, 2]), torch.float32, {'x': tensor([[0.5000],
            [1.0000]])})
    >>> as_tensors([[1.0, 2.0], [3.0]], "sets"), as_tensors((8, 2), "shape"), as_tensors(["a"], "names")
    ([tensor([1., 2.]), tensor([3.])], (8, 2), ['a'])
    """
    dtype = dtype or torch.get_default_dtype()
    if isinstance(value, Tensor) or isinstance(value, (bool, int, float, str)) or value is None:
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return _rebuilt(value, {key: as_tensors(part, f"{name}[{key!r}]", dtype) for key, part in value.items()})
    if isinstance(value, list) and value and all(_is_number(part) for part in _leaves(value)):
        array = None
        with suppress(ValueError):  # rows of different lengths: the parts are converted one by one
            array = np.asarray(value)
        if array is not None:
            return _tensor(array, name, dtype)
    if isinstance(value, (list, tuple)):
        parts = [as_tensors(part, f"{name}[{place}]", dtype) for place, part in enumerate(value)]
        return _rebuilt(value, dict(enumerate(parts)))
    if hasattr(value, "columns") and hasattr(value, "to_numpy"):
        columns = [_tensor(np.asarray(value[key]), f"{name}[{key!r}]", dtype) for key in value.columns]
        if not columns:
            return torch.empty(len(value), 0, dtype=dtype)
        widest = reduce(torch.promote_types, [column.dtype for column in columns])
        return torch.stack([column.to(widest) for column in columns], -1)
    return _tensor(value, name, dtype) if hasattr(type(value), "__array__") else value


class Casting(Messenger):
    """Gives observed sites values that their distributions take."""

    def _pyro_sample(self, message: Message) -> None:
        cast_data(message)


def cast_data(message: Message) -> None:
    """Puts what ``as_taken`` makes of an observed site's value into the message."""
    if message["is_observed"]:
        message["value"] = as_taken(message["value"], message["fn"])


def as_taken(value: Any, fn: Any) -> Any:
    """An observed value that the density of ``fn`` takes: 0/1 data as floats, if it raises on int64 or truth values.

    A Python number becomes a tensor; any other value stays. The cast is exact: the support is {0, 1}, or the values
    are truth values.

    >>> import pyro.distributions as dist
    >>> as_taken(torch.tensor([1, 0]), dist.Bernoulli(0.5)), as_taken(torch.tensor([1, 0]), dist.Poisson(0.5))
    (tensor([1., 0.]), tensor([1, 0]))
    """
    if isinstance(value, (bool, int, np.integer, np.bool_)):
        value = torch.as_tensor(value)
    if not isinstance(value, Tensor) or value.is_floating_point() or value.is_complex():
        return value
    if value.dtype != torch.bool and not _is_boolean(fn):
        return value
    try:
        fn.log_prob(value)
    except (RuntimeError, TypeError):
        dtypes = [parameter.dtype for _, parameter, _ in parameters_of(fn)]  # a narrower value would round the density
        return value.to(reduce(torch.promote_types, dtypes, torch.get_default_dtype()))
    except ValueError:  # a wrong shape or a value outside the support: ``checks.observed`` names it
        return value
    return value


def same_values(one: Any, other: Any) -> bool:
    """Whether two values have the same shape and numbers; NaN is equal to itself.

    >>> same_values(torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.nan])), same_values(1.0, 2.0)
    (True, False)
    """
    one, other = torch.as_tensor(one), torch.as_tensor(other)
    return one.shape == other.shape and bool(((one == other) | (one.isnan() & other.isnan())).all())


def _is_boolean(fn: Any) -> bool:
    """Whether the support is {0, 1}, also of a mixture of such distributions."""
    try:
        support = fn.support
    except (NotImplementedError, AttributeError):
        return False
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return isinstance(support, type(constraints.boolean))


def _is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.number, np.bool_))


def is_text_of_numbers(value: Any) -> bool:
    """Whether a value is a number as text, or a list of such texts.

    >>> is_text_of_numbers("1.5"), is_text_of_numbers([["1"], ["2"]]), is_text_of_numbers(["a", "1"])
    (True, True, False)
    """
    if isinstance(value, list):
        return bool(value) and all(map(is_text_of_numbers, value))
    try:
        return isinstance(value, str) and math.isfinite(float(value))
    except ValueError:
        return False


def _leaves(value: Any) -> list[Any]:
    """What a nested list holds; an empty list is a leaf itself, so that it does not count as numbers."""
    if isinstance(value, list) and value:
        return [leaf for part in value for leaf in _leaves(part)]
    return [value]


def _tensor(value: Any, name: str, dtype: torch.dtype) -> Tensor:
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise ValueError(
            f"argument {name!r} is a masked array: write {name}.filled(0.0), and pass its mask to "
            f"pyro.sample(..., obs_mask=) as another argument, ~{name}.mask"
        )
    array = np.asarray(value)
    if array.dtype.kind in "OUS":
        array = _of_numbers(array.astype(str) if array.dtype.kind == "S" else array, name)
    kind = array.dtype.kind
    if kind not in "biuf":
        raise ValueError(
            f"argument {name!r} holds {array.dtype} values, which are no numbers: write {name}.astype(float)"
        )
    if kind == "f":
        _check_digits(array, name, dtype)
    wanted = {"b": torch.bool, "f": dtype}.get(kind, torch.int64)
    return torch.tensor(
        array.astype(np.int64) if kind == "u" else array.astype(array.dtype.newbyteorder("=")), dtype=wanted
    )


def _check_digits(array: np.ndarray, name: str, dtype: torch.dtype) -> None:
    """Raises ``ValueError`` if rounding to ``dtype`` moves a value by over a thousandth of the standard deviation."""
    known = array[np.isfinite(array)].astype(np.float64)
    std = float(known.std()) if known.size else 0.0
    rounding = float(np.abs(torch.tensor(known, dtype=dtype).double().numpy() - known).max(initial=0.0))
    if rounding > 1e-3 * std > 0:
        raise ValueError(
            f"the values of argument {name!r} differ by {std:.2g} and would be rounded by {rounding:.1g}: write "
            f"{name} - {name}.min(), or torch.as_tensor({name}) to compute in float64"
        )


def _of_numbers(array: np.ndarray, name: str) -> np.ndarray:
    """An array of Python objects or texts as an array of numbers; raises ``ValueError`` if one of them is no number."""
    strange = [element for element in array.reshape(-1).tolist() if not _is_number(element)]
    if strange:
        text = [element for element in strange if isinstance(element, str)]
        labels = [element for element in text if not is_text_of_numbers(element)]
        first, words = strange[0], "which is no number"
        advice = f"{name}.dropna(), or {name}.astype(float)"
        if text and not labels:
            words, advice = "a number as text", f"{name}.astype(float)"
        elif labels:
            first, advice = labels[0], f"pandas.factorize({name})[0] for labels"
            if is_text_of_numbers(first.replace(",", ".", 1)):
                advice = f"{name}.str.replace(',', '.').astype(float)"
            elif 2 * len(labels) < len(array.reshape(-1)):
                advice = f"pandas.to_numeric({name}, errors='coerce'), which makes it NaN"
        raise ValueError(f"argument {name!r} holds {first!r:.40}, {words}: write {advice}")
    return np.array(array.tolist()).reshape(array.shape)


def _rebuilt(value: Any, parts: dict[Any, Any]) -> Any:
    """The container with these parts in place of its own; the container itself if none has changed."""
    if isinstance(value, Mapping):
        same = all(parts[key] is value[key] for key in value)
        return value if same else parts
    if all(part is own for part, own in zip(parts.values(), value, strict=True)):
        return value
    return type(value)(*parts.values()) if hasattr(value, "_fields") else type(value)(parts.values())
