"""Containers of tensors, plain values and records as JSON, with the tensors apart.

A record is a dataclass or a named tuple. What reads it back names its class. The file only repeats the class's name, so
that it can be compared; nothing is looked up by a name from a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from amortized._types import Tensor

PLAIN = (bool, int, float, str, NoneType)


class Malformed(ValueError):
    """Words that ``packed`` does not write, or a value of another type than was asked for."""


def packed(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """What JSON can hold of ``value``; its tensors go into ``tensors``, under ``name`` and the place of each.

    A tensor that comes twice is kept once.

    Raises:
        TypeError: A part is neither a tensor, a number, text, None, a list, tuple or dict of such, nor a record.

    >>> import torch
    >>> tensors = {}
    >>> words = packed((torch.ones(1), {"n": 2}), "data", tensors)
    >>> words, list(tensors)
    ({'tuple': [{'tensor': 'data.0'}, {'dict': {'n': 2}}]}, ['data.0'])
    >>> unpacked(words, tensors)
    (tensor([1.]), {'n': 2})
    """
    if type(value) in PLAIN:
        return value
    if isinstance(value, Tensor):
        name = next((known for known, other in tensors.items() if other is value), name)
        tensors[name] = value
        return {"tensor": name}
    if _is_record(type(value)):
        parts = {key: packed(getattr(value, key), f"{name}.{key}", tensors) for key in _fields(type(value))}
        return {"record": type(value).__name__, "fields": parts}
    if type(value) in (list, tuple):
        parts = [packed(part, f"{name}.{place}", tensors) for place, part in enumerate(value)]
        return {type(value).__name__: parts}
    if isinstance(value, Mapping) and all(type(key) is str for key in value):
        return {"dict": {key: packed(part, f"{name}.{key}", tensors) for key, part in value.items()}}
    raise TypeError(
        f"{name} is a {type(value).__name__}, which no file of numbers can hold: pass tensors, numbers or text"
    )


def unpacked(words: Any, tensors: Mapping[str, Tensor], kind: Any = Any) -> Any:
    """The inverse of ``packed``.

    Args:
        words: What ``packed`` returned, from JSON.
        tensors: By name.
        kind: The type of the value, as an annotation says it; records need it.

    Raises:
        Malformed: Words that ``packed`` does not write, or a value of another type.
        KeyError: A tensor that is not there.

    >>> from amortized.weights import Estimate
    >>> words = packed([Estimate(0.5, 0.1)], "found", {})
    >>> unpacked(words, {}, list[Estimate] | None)
    [Estimate(value=0.5, std_error=0.1)]
    """
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _one_of(parts, words, tensors)
    if origin is None and isinstance(kind, type) and _is_record(kind):
        return _record(kind, words, tensors)
    value = _value(words, tensors, parts if origin in (list, tuple, dict, Mapping) else ())
    wanted = origin or kind
    if wanted is not Any and not (isinstance(value, wanted) or (wanted is float and type(value) is int)):
        raise Malformed(f"{str(words):.60} is a {type(value).__name__}, not a {wanted.__name__}")
    return value


def _value(words: Any, tensors: Mapping[str, Tensor], parts: tuple[Any, ...]) -> Any:
    """A plain value, a tensor, or a container whose parts are of the types ``parts``."""
    if type(words) in PLAIN:
        return words
    if isinstance(words, dict) and len(words) == 1:
        ((kind, inside),) = words.items()
        if kind == "tensor" and isinstance(inside, str):
            return tensors[inside]
        if kind in ("list", "tuple") and isinstance(inside, list):
            kinds = parts if kind == "tuple" and parts[1:] != (...,) else parts[:1] * len(inside)
            kinds = kinds or (Any,) * len(inside)
            if len(kinds) != len(inside):
                raise Malformed(f"{len(inside)} parts, not {len(kinds)}")
            found = [unpacked(part, tensors, one) for part, one in zip(inside, kinds, strict=True)]
            return found if kind == "list" else tuple(found)
        if kind == "dict" and isinstance(inside, dict):
            one = parts[1] if parts else Any
            return {key: unpacked(part, tensors, one) for key, part in inside.items()}
    raise Malformed(f"{str(words):.60} is no packed value")


def _one_of(kinds: tuple[Any, ...], words: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The value as the first of the types that it can be."""
    for kind in kinds:
        try:
            return unpacked(words, tensors, kind)
        except Malformed:
            continue
    raise Malformed(f"{str(words):.60} is none of {', '.join(getattr(kind, '__name__', str(kind)) for kind in kinds)}")


def _record(kind: type, words: Any, tensors: Mapping[str, Tensor]) -> Any:
    hints = get_type_hints(kind)
    if not isinstance(words, dict) or words.get("record") != kind.__name__ or not isinstance(words.get("fields"), dict):
        raise Malformed(f"{str(words):.60} is no {kind.__name__}")
    if set(words["fields"]) != set(_fields(kind)):
        raise Malformed(f"{kind.__name__} has {', '.join(_fields(kind))}, not {', '.join(words['fields']):.60}")
    return kind(**{key: unpacked(part, tensors, hints[key]) for key, part in words["fields"].items()})


def _is_record(kind: type) -> bool:
    return is_dataclass(kind) or (issubclass(kind, tuple) and hasattr(kind, "_fields"))


def _fields(kind: type) -> list[str]:
    return [one.name for one in fields(kind)] if is_dataclass(kind) else list(kind._fields)
