"""Containers of tensors and plain values as JSON, with the tensors apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from amortized._types import Tensor


def packed(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """What JSON can hold of ``value``; its tensors go into ``tensors``, under ``name`` and the place of each.

    Raises:
        TypeError: A part is neither a tensor, a number, text, None, nor a list, tuple or dict of such.

    >>> import torch
    >>> tensors = {}
    >>> words = packed((torch.ones(1), {"n": 2}), "data", tensors)
    >>> words, list(tensors)
    ({'tuple': [{'tensor': 'data.0'}, {'dict': {'n': 2}}]}, ['data.0'])
    >>> unpacked(words, tensors)
    (tensor([1.]), {'n': 2})
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Tensor):
        tensors[name] = value
        return {"tensor": name}
    if type(value) in (list, tuple):
        parts = [packed(part, f"{name}.{place}", tensors) for place, part in enumerate(value)]
        return {type(value).__name__: parts}
    if isinstance(value, Mapping) and all(type(key) is str for key in value):
        return {"dict": {key: packed(part, f"{name}.{key}", tensors) for key, part in value.items()}}
    raise TypeError(
        f"{name} is a {type(value).__name__}, which no file of numbers can hold: pass tensors, numbers or text"
    )


def unpacked(words: Any, tensors: Mapping[str, Tensor]) -> Any:
    """The inverse of ``packed``.

    Raises:
        ValueError: Words that ``packed`` does not write.
        KeyError: A tensor that is not there.
    """
    if not isinstance(words, (dict, list)):
        return words
    if isinstance(words, dict) and len(words) == 1:
        ((kind, parts),) = words.items()
        if kind == "tensor" and isinstance(parts, str):
            return tensors[parts]
        if kind in ("list", "tuple") and isinstance(parts, list):
            found = [unpacked(part, tensors) for part in parts]
            return found if kind == "list" else tuple(found)
        if kind == "dict" and isinstance(parts, dict):
            return {key: unpacked(part, tensors) for key, part in parts.items()}
    raise ValueError(f"{str(words):.60} is no packed value")
