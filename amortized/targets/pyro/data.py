"""Data as users have them, numpy arrays, pandas columns and lists of numbers, as tensors."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils import _pytree as pytree

from amortized._types import Tensor
from amortized.targets.pyro.trace import ModelError

OPTIONS = {"amortize", "embedding", "sampler", "recipe", "langevin", "exploration", "local_search", "seed", "max_seconds"}
OPTIONS |= {"device", "progress", "replicas"}
"""Of a guide; ``fit`` takes the model's arguments alone."""


def as_tensors(value: Any, name: str, dtype: torch.dtype | None = None) -> Any:
    """``value`` with every array, Series, DataFrame and list of numbers in it as a tensor of its own memory.

    Floats get ``dtype``, by default torch's default dtype; whole numbers become int64, truth values bool. A DataFrame
    becomes ``(rows, columns)``. Tensors stay as they are, and so do numbers, strings, None, tuples of numbers (sizes,
    settings) and lists that hold anything but numbers; what lies inside tuples, lists and dicts is converted there.

    Raises ``ValueError``, with the name, for an array that holds anything but numbers.

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
        if (array := _rectangular(value)) is not None:
            return _tensor(array, name, dtype)
    if isinstance(value, (list, tuple)):
        parts = [as_tensors(part, f"{name}[{place}]", dtype) for place, part in enumerate(value)]
        return _rebuilt(value, dict(enumerate(parts)))
    if hasattr(value, "columns") and hasattr(value, "to_numpy"):
        columns = [_tensor(np.asarray(value[key]), f"{name}[{key!r}]", dtype) for key in value.columns]
        return torch.stack(_promoted(columns), -1) if columns else torch.empty(len(value), 0, dtype=dtype)
    return _tensor(value, name, dtype) if hasattr(type(value), "__array__") else value


def call_with_tensors(
    model: Callable, args: Sequence, kwargs: Mapping[str, Any], device: torch.device | None = None
) -> tuple[tuple, dict[str, Any]]:
    """The arguments of one call of the model ``as_tensors``, on ``device`` where one is given.

    Raises ``ModelError`` where the model cannot be called so: an argument is missing, unknown or one too many.
    """
    check_call(model, args, kwargs)
    names = _positional_names(model, len(args))
    positional = tuple(as_tensors(value, name) for name, value in zip(names, args, strict=True))
    given = positional, {name: as_tensors(value, name) for name, value in kwargs.items()}
    return given if device is None else pytree.tree_map_only(Tensor, lambda tensor: tensor.to(device), given)


def check_call(model: Callable, args: Sequence, kwargs: Mapping[str, Any]) -> None:
    """Raises ``ModelError``, with the line to type, where the model's own signature does not take these arguments."""
    try:
        own = inspect.signature(function_of(model), follow_wrapped=False)
    except (TypeError, ValueError):
        return
    try:
        own.bind(*args, **kwargs)
    except TypeError as error:
        needed = [
            name
            for name, parameter in own.parameters.items()
            if parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        ]
        name = getattr(model, "__name__", type(model).__name__)
        if options := {key: value for key, value in kwargs.items() if key in OPTIONS and key not in own.parameters}:
            typed = ", ".join(
                f"{key}={value if is_text_of_numbers(value) else repr(value)}" for key, value in options.items()
            )
            raise ModelError(
                f"{typed}: of the guide, not an argument of the model {name}{own}; write "
                f"DiffusionGuide(model, {typed}).fit({', '.join(needed)})"
            ) from error
        raise ModelError(
            f"the model {name}{own} was called with {_given(args, kwargs)}: {error}; "
            f"write guide.fit({', '.join(needed)})"
        ) from error


def bound(model: Callable, args: Sequence, kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
    """The arguments of a call of the model, by name; raises as ``check_call``."""
    check_call(model, args, kwargs)
    return inspect.signature(function_of(model)).bind(*args, **kwargs)


def _given(args: Sequence, kwargs: Mapping[str, Any]) -> str:
    words = [f"{len(args)} argument{'s' * (len(args) != 1)}"] if args else []
    words += [", ".join(f"{name}=" for name in kwargs)] if kwargs else []
    return " and ".join(words) or "no argument"


def named(model: Callable, args: Sequence, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of one call by name, as far as they have one."""
    return {**dict(zip(_positional_names(model, len(args)), args, strict=True)), **kwargs}


def function_of(model: Callable) -> Callable:
    """What has the signature of a model: of a module its ``forward``."""
    return model.forward if isinstance(model, torch.nn.Module) else model


def _positional_names(model: Callable, count: int) -> list[str]:
    """Names of the first arguments, as far as the signature has any."""
    try:
        parameters = inspect.signature(function_of(model)).parameters.values()
    except (TypeError, ValueError):
        parameters = ()  # type: ignore[assignment]
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [parameter.name for parameter in parameters if parameter.kind in kinds]
    return [*names, *(f"args[{place}]" for place in range(len(names), count))][:count]


def _is_number(value: Any) -> bool:
    return isinstance(value, (bool, int, float, np.number, np.bool_))


def is_text_of_numbers(value: Any) -> bool:
    """Whether it is a number as text, or a list of such.

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
    """What a nested list holds; a list that holds none is a leaf, so that no empty list counts as numbers."""
    if isinstance(value, list) and value:
        return [leaf for part in value for leaf in _leaves(part)]
    return [value]


def _rectangular(value: list) -> np.ndarray | None:
    """A nested list of numbers as an array; None where its rows have different lengths."""
    try:
        return np.asarray(value)
    except ValueError:
        return None


def _tensor(value: Any, name: str, dtype: torch.dtype) -> Tensor:
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise ValueError(
            f"argument {name!r} is a masked array: write {name}.filled(0.0), and pass its mask to "
            f"pyro.sample(..., obs_mask=) as another argument, ~{name}.mask"
        )
    array = np.asarray(value)
    if array.dtype == object:
        array = _of_numbers(array, name)
    kind = array.dtype.kind
    if kind not in "biuf":
        numbers = kind == "U" and is_text_of_numbers(array.reshape(-1).tolist())
        labels = kind in "US" and not numbers
        advice = f"pandas.factorize({name})[0] for labels, or " * labels + f"{name}.astype(float)"
        if numbers:
            raise ValueError(f"argument {name!r} holds numbers as text, {str(array.flat[0])!r:.40}: write {advice}")
        raise ValueError(f"argument {name!r} holds {array.dtype} values, which are no numbers: write {advice}")
    if kind == "f":
        _check_digits(array, name, dtype)
    wanted = {"b": torch.bool, "f": dtype}.get(kind, torch.int64)
    return torch.tensor(
        array.astype(np.int64) if kind == "u" else array.astype(array.dtype.newbyteorder("=")), dtype=wanted
    )


def _check_digits(array: np.ndarray, name: str, dtype: torch.dtype) -> None:
    """Raises ``ValueError`` where rounding to ``dtype`` takes over a thousandth of what the values differ by."""
    known = array[np.isfinite(array)].astype(np.float64)
    spread = float(known.std()) if known.size else 0.0
    lost = float(np.abs(torch.tensor(known, dtype=dtype).double().numpy() - known).max(initial=0.0))
    if lost > 1e-3 * spread > 0:
        raise ValueError(
            f"argument {name!r} differs by {spread:.2g} and would be rounded by {lost:.1g}: write "
            f"{name} - {name}.min(), or torch.as_tensor({name}) to compute in float64"
        )


def _of_numbers(array: np.ndarray, name: str) -> np.ndarray:
    """An array of Python's objects, all of which must be numbers, as one of numbers."""
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


def _promoted(columns: list[Tensor]) -> list[Tensor]:
    """Columns in the one dtype that holds them all."""
    widest = columns[0].dtype
    for column in columns:
        widest = torch.promote_types(widest, column.dtype)
    return [column.to(widest) for column in columns]


def _rebuilt(value: Any, parts: dict[Any, Any]) -> Any:
    """The container with these parts in the place of its own; itself where none has changed."""
    if isinstance(value, Mapping):
        same = all(parts[key] is value[key] for key in value)
        return value if same else parts
    if all(part is own for part, own in zip(parts.values(), value, strict=True)):
        return value
    return type(value)(*parts.values()) if hasattr(value, "_fields") else type(value)(parts.values())
