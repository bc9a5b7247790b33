"""The data sets among the arguments of a call, and the model as a program of one data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from pyro import poutine

from amortized._types import Tensor
from amortized.targets.conditional.contexts import ContextPart, Contexts, LocalTo
from amortized.targets.conditional.model import ContextualModel, is_data
from amortized.targets.pyro.arguments import bound_arguments, call_with_tensors, parts_by_name
from amortized.targets.pyro.data import as_tensors
from amortized.targets.pyro.failures import mistake_of_arguments
from amortized.targets.pyro.trace import (
    ModelError,
    sample_sites,
    undisturbed,
)


class Reading:
    """The contexts among a model's arguments, and the arguments of one data set.

    ``rows: (N, C)`` are the contexts and ``contexts`` their parts. ``args`` and ``kwargs`` hold one data set, the first
    or, of sets, the longest, whose row is ``first: (C,)``.

    Args:
        model: The Pyro model.
        amortize: Names of arguments or observed sites, or ``LocalTo`` a plate.
        args: Arguments of ``fit``.
        kwargs: Keyword arguments of ``fit``.

    Raises:
        ModelError: If a name is neither an argument nor an observed site.
        ValueError: If an argument holds no data sets, or two arguments hold different numbers of them.
    """

    def __init__(
        self,
        model: Callable,
        amortize: str | Sequence[str] | LocalTo,
        args: Sequence,
        kwargs: dict[str, Any],
    ):
        args, kwargs = call_with_tensors(model, args, kwargs)
        arguments = bound_arguments(model, args, kwargs)
        self.local = isinstance(amortize, LocalTo)
        names = _names(amortize, arguments.arguments)
        sites = [name for name in names if name not in arguments.arguments]
        found = values_of_sites(model, args, kwargs, sites)
        values = {name: found[name] if name in sites else _listed(name, arguments.arguments[name]) for name in names}
        scalars = [name for name, sets in values.items() if sets[0].ndim == 0]
        ragged = any(len({len(one) for one in sets}) > 1 for sets in values.values() if sets[0].ndim)
        counts = sorted({len(sets) for sets in values.values()})
        if len(counts) > 1:
            raise ValueError(f"{tuple(names)} hold {counts} data sets: pass as many of one as of the other")
        if ragged and scalars:
            raise ValueError(
                f"{scalars[0]!r} is one number for a data set, beside sets of different size: give each row its own, "
                f"[one.expand(len(rows)) for one, rows in zip({scalars[0]}, sets)]"
            )
        longest = max(range(len(values[names[0]])), key=lambda m: values[names[0]][m].numel()) if ragged else 0
        firsts = {name: values[name][longest] for name in names}
        parts = [ContextPart(name, one.shape, one.dtype, name not in sites) for name, one in firsts.items()]
        floats = [part.dtype for part in parts if part.dtype.is_floating_point]
        self.contexts = Contexts(parts, reduce(torch.promote_types, floats, torch.get_default_dtype()), ragged)
        self.rows, _ = self.contexts.rows([sets if ragged else torch.stack(sets) for sets in values.values()])
        self.first = self.rows[longest]
        arguments.arguments.update({name: one for name, one in firsts.items() if name not in sites})
        self.args, self.kwargs = arguments.args, arguments.kwargs


def _names(amortize: str | Sequence[str] | LocalTo, arguments: Mapping[str, Any]) -> list[str]:
    """The names in ``amortize``; for ``LocalTo``, all tensors with as many rows as the first tensor."""
    if not isinstance(amortize, LocalTo):
        if not amortize:
            raise ValueError(f"amortize={amortize!r} names nothing: write amortize='y', the data's name")
        return [amortize] if isinstance(amortize, str) else list(amortize)
    tensors = {name: len(value) for name, value in arguments.items() if isinstance(value, torch.Tensor) and value.ndim}
    if not tensors:
        raise ModelError(
            f"amortize=LocalTo({amortize.plate!r}): no argument of the model is a tensor with rows; pass the data as "
            f"an argument and open with pyro.plate({amortize.plate!r}, len(data)): over them"
        )
    count = next(iter(tensors.values()))
    return [name for name, rows in tensors.items() if rows == count]


def _listed(name: str, value: Any) -> list[Tensor]:
    """The data sets of one argument of ``fit``."""
    value = as_tensors(list(value), name) if isinstance(value, tuple) else value
    if isinstance(value, (list, tuple)) and len(value) and all(isinstance(one, torch.Tensor) for one in value):
        return list(value)
    if not isinstance(value, torch.Tensor) or value.ndim == 0 or len(value) == 0:
        if not isinstance(value, (torch.Tensor, list, tuple)):
            raise ValueError(
                f"argument {name!r} is a {type(value).__name__}: it is amortized over, so fit takes data sets along a "
                f"first dimension; write [{name}] for one number"
            )
        got = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else "a list"
        raise ValueError(
            f"argument {name!r} is {got}: it is amortized over, so fit takes data sets along a first dimension; for "
            f"one of them write [{name}], for sets of different size a list of them"
        )
    return list(value)


def values_of_sites(
    model: Callable, args: Sequence, kwargs: Mapping[str, Any], names: Sequence[str]
) -> dict[str, list[Tensor]]:
    """The values of observed sites, each as one data set.

    Raises:
        ModelError: If a name is neither an argument nor an observed site.
    """
    if not names:
        return {}
    with undisturbed(), torch.no_grad():
        trace = poutine.trace(model).get_trace(*args, **kwargs)
    data = {name: site["value"] for name, site in sample_sites(trace).items() if is_data(site)}
    for name in names:
        if name not in data:
            arguments = list(bound_arguments(model, args, kwargs).arguments)
            raise ModelError(
                f"amortize={name!r} is neither an argument of the model {arguments} nor an observed site {list(data)}; "
                "write one of these, or LocalTo('plate')"
            )
    return {name: [data[name]] for name in names}


def program_of(model: Callable, read: Reading) -> ContextualModel:
    """The model as a program of its context.

    Raises:
        ModelError: If the model fails on the first data set because of its arguments.
        ValueError: If it fails for another reason; the message says what was taken for a data set.
    """
    try:
        return ContextualModel(model, read.args, read.kwargs, read.contexts, read.first, read.local)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        if isinstance(error, ModelError):
            raise
        if said := mistake_of_arguments(error, parts_by_name(model, read.args, read.kwargs)):
            raise ModelError(said) from error
        part = read.contexts.parts[0]
        raise ValueError(
            f"the model fails on the first data set, in which {part.name!r} has shape {tuple(part.shape)}: {error}; "
            f"fit takes data sets along a first dimension, for one of them write [{part.name}]"
        ) from error
