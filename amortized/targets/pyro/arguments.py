"""The structure of a model's arguments, and the check that others have the same."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from amortized._types import Tensor
from amortized.targets.pyro.data import as_tensors, function_of


class Arguments:
    """Names, containers, shapes and dtypes of the arguments that a target was built on, as tensors; no values.

    >>> import torch
    >>> built = Arguments(lambda y, scale: None, (torch.zeros(8), 1.0), {})
    >>> built.check((torch.ones(8), 2.0), {})
    >>> built.check((torch.ones(7), 2.0), {})
    Traceback (most recent call last):
    ...
    ValueError: argument 'y' is a float32 tensor of shape (7,), but the target was built on a float32 tensor of shape
    (8,); pass one of that structure, or build a new target (a new guide) for these arguments
    """

    def __init__(self, model: Callable, args: Sequence, kwargs: Mapping[str, Any]):
        self.model = model
        self.leaves = dict(self._describe(args, kwargs))

    def check(self, args: Sequence, kwargs: Mapping[str, Any]) -> None:
        """Raises ``ValueError``, naming the first argument that differs in structure."""
        leaves = dict(self._describe(args, kwargs))
        for name in [*self.leaves, *leaves]:
            got, built = leaves.get(name, "missing"), self.leaves.get(name, "missing")
            if got != built:
                raise ValueError(
                    f"argument {name!r} is {got}, but the target was built on "
                    f"{'a call without it' if built == 'missing' else built}; pass one of that structure, or build a "
                    "new target (a new guide) for these arguments"
                )

    def _describe(self, args: Sequence, kwargs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        try:
            named = inspect.signature(function_of(self.model)).bind(*args, **kwargs).arguments
        except (TypeError, ValueError):
            named = {**{f"args[{position}]": value for position, value in enumerate(args)}, **kwargs}
        for name, value in named.items():
            yield from _leaves(name, as_tensors(value, name))


def _leaves(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        yield name, f"a {type(value).__name__} of {len(value)}"
        for key, part in value.items():
            yield from _leaves(f"{name}[{key!r}]", part)
    elif isinstance(value, (list, tuple)):
        yield name, f"a {type(value).__name__} of {len(value)}"
        for position, part in enumerate(value):
            yield from _leaves(f"{name}[{position}]", part)
    elif isinstance(value, Tensor):
        yield name, f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"
    else:
        yield name, "None" if value is None else f"of type {type(value).__name__}"
