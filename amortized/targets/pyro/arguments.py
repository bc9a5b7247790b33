"""The arguments of a model's call: their names and parts, whether the model takes them, and their structure."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils import _pytree as pytree

from amortized._types import Tensor
from amortized.targets.pyro.data import as_tensors, is_text_of_numbers
from amortized.targets.pyro.trace import ModelError

Call = tuple[Callable, Sequence, Mapping[str, Any]]
"""A model with its positional and its keyword arguments."""

GUIDE_OPTIONS = {"amortize", "embedding", "sampler", "reference", "recipe", "langevin", "exploration", "local_search"}
GUIDE_OPTIONS |= {"coordinates", "compile", "seed", "max_seconds", "device", "progress", "replicas", "checkpoint"}
"""Options of ``DiffusionGuide`` that users pass to ``fit`` by mistake; ``fit`` takes the model's arguments alone."""


def call_with_tensors(
    model: Callable, args: Sequence, kwargs: Mapping[str, Any], device: torch.device | None = None
) -> tuple[tuple, dict[str, Any]]:
    """The arguments of one call of the model ``as_tensors``, on ``device`` if one is given.

    Raises:
        ModelError: The model cannot be called so: an argument is missing, unknown or one too many.
        ValueError: An argument holds something other than numbers.
    """
    check_call(model, args, kwargs)
    positional = tuple(as_tensors(value, name) for name, value in _positional(model, args))
    given = positional, {name: as_tensors(value, name) for name, value in kwargs.items()}
    return given if device is None else pytree.tree_map_only(Tensor, lambda tensor: tensor.to(device), given)


def check_call(model: Callable, args: Sequence, kwargs: Mapping[str, Any]) -> None:
    """Raises ``ModelError``, with the line to type, if the model's own signature does not take these arguments."""
    own = _signature(model, follow_wrapped=False)  # a decorator may bring the data that the wrapped model takes
    if own is None:
        return
    try:
        own.bind(*args, **kwargs)
    except TypeError as error:
        variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        parameters = own.parameters.items()
        needed = ", ".join(name for name, one in parameters if one.default is one.empty and one.kind not in variadic)
        called = f"{getattr(model, '__name__', type(model).__name__)}{own}"
        options = [(key, value) for key, value in kwargs.items() if key in GUIDE_OPTIONS and key not in own.parameters]
        if options:
            typed = ", ".join(f"{key}={value if is_text_of_numbers(value) else repr(value)}" for key, value in options)
            raise ModelError(
                f"{typed} is an option of the guide, not an argument of the model {called}: write "
                f"DiffusionGuide(model, {typed}).fit({needed})"
            ) from error
        words = [f"{len(args)} argument{'s' * (len(args) != 1)}"] if args else []
        words += [", ".join(f"{name}=" for name in kwargs)] if kwargs else []
        given = " and ".join(words) or "no argument"
        raise ModelError(f"the model {called} was called with {given}: {error}; write guide.fit({needed})") from error


def bound_arguments(model: Callable, args: Sequence, kwargs: Mapping[str, Any]) -> inspect.BoundArguments:
    """The arguments of a call of the model, by name; raises ``ModelError`` as ``check_call``."""
    check_call(model, args, kwargs)
    return inspect.signature(_function_of(model)).bind(*args, **kwargs)


def argument_names(model: Callable) -> list[str]:
    """Names of a model's arguments; empty for a callable without a signature."""
    signature = _signature(model)
    return [] if signature is None else list(signature.parameters)


def named_arguments(model: Callable, args: Sequence, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of one call by name; a positional one without a name is ``args[i]``."""
    return {**dict(_positional(model, args)), **kwargs}


def parts_by_name(model: Callable, args: Sequence, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name, with the parts of those that hold several; a list without tensors is one part.

    >>> parts_by_name(lambda x, data: None, (1, {"y": 2}), {})
    {'x': 1, "data['y']": 2}
    """
    found = {}
    for name, value in named_arguments(model, args, kwargs).items():
        try:
            leaves = pytree.tree_flatten_with_path(value, is_leaf=_is_plain_list)[0]
        except ValueError:  # a container of the user's own class, whose parts have no names
            leaves = [((), value)]
        found.update({name + pytree.keystr(path): leaf for path, leaf in leaves})
    return found


class Arguments:
    """Names, containers, shapes and dtypes of the arguments that a target was built on, as tensors; no values.

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
        self.described = self._describe(args, kwargs)

    def check(self, args: Sequence, kwargs: Mapping[str, Any]) -> None:
        """Raises ``ValueError``, naming the first argument that differs in structure."""
        given = self._describe(args, kwargs)
        for name in [*self.described, *given]:
            got, built = given.get(name, "missing"), self.described.get(name, "a call without it")
            if got != built:
                raise ValueError(
                    f"argument {name!r} is {got}, but the target was built on {built}; pass one of that structure, or "
                    "build a new target (a new guide) for these arguments"
                )

    def _describe(self, args: Sequence, kwargs: Mapping[str, Any]) -> dict[str, str]:
        named = named_arguments(self.model, args, kwargs)
        tensors = {name: as_tensors(value, name) for name, value in named.items()}
        return {part: words for name, value in tensors.items() for part, words in _described(name, value)}


def _described(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Name and structure of a value, and of each part that it holds."""
    if isinstance(value, (Mapping, list, tuple)):
        yield name, f"a {type(value).__name__} of {len(value)}"
        for key, part in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _described(f"{name}[{key!r}]", part)
    elif isinstance(value, Tensor):
        yield name, f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {tuple(value.shape)}"
    else:
        yield name, "None" if value is None else f"of type {type(value).__name__}"


def _function_of(model: Callable) -> Callable:
    """What has the signature of a model: the ``forward`` of a module."""
    return model.forward if isinstance(model, torch.nn.Module) else model


def _signature(model: Callable, follow_wrapped: bool = True) -> inspect.Signature | None:
    """The signature of a model; None for a callable without one, for instance one written in C."""
    try:
        return inspect.signature(_function_of(model), follow_wrapped=follow_wrapped)
    except (TypeError, ValueError):
        return None


def _positional(model: Callable, args: Sequence) -> list[tuple[str, Any]]:
    """The positional arguments of a call, each with its name; ``args[i]`` beyond the names of the signature."""
    signature = _signature(model)
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [name for name, one in signature.parameters.items() if one.kind in kinds] if signature else []
    names += [f"args[{place}]" for place in range(len(names), len(args))]
    return list(zip(names, args, strict=False))


def _is_plain_list(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(value))
