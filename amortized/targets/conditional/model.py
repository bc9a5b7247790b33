"""A model in which the data set is one more site: its density is then the joint density of latents and data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.distributions import constraints
from pyro.poutine.messenger import Messenger

from amortized._types import Tensor
from amortized.targets.conditional.contexts import Contexts, LocalTo
from amortized.targets.pyro.arguments import bound_arguments
from amortized.targets.pyro.trace import Message, ModelError, is_deterministic, is_factor, sample_sites, undisturbed

CONTEXT = "_context"
"""Name of the added site; no Python argument and hardly a site of a model starts with an underscore."""
UNIT = 2.0**-10
"""Of the coordinates of a search: small, so that a search stays near the first data set; a power of two is exact."""


class ContextualModel:
    """The model as a program without arguments, whose first site holds the context; nobody infers that site.

    The site has C + 1 coordinates, and the last one says what the others mean. A number: they are
    ``(row − first row) / UNIT``, the form in which structure and points of finite density are searched for. NaN: they
    are the row itself, with every digit. No search draws a NaN, and sums and products of rows keep it.

    ``sites`` maps every observed site whose value is a part of the context to the name of that part.

    Args:
        model: The Pyro model.
        args: Its positional arguments, with the first data set alone.
        kwargs: Its keyword arguments, likewise.
        contexts: The parts of a context, and their places in a row.
        first: The row ``(C,)`` of the first data set.
        local: Whether a data set is one row of a plate, so that the model gets a leading dimension of 1.
    """

    def __init__(
        self,
        model: Callable,
        args: Sequence,
        kwargs: Mapping[str, Any],
        contexts: Contexts,
        first: Tensor,
        local: bool = False,
    ):
        self.model = model
        self.arguments = bound_arguments(model, args, kwargs)
        self.contexts = contexts
        self.first = first
        self.local = local
        self.sites = self._observed()

    def __call__(self) -> object:
        place = dist.ImproperUniform(constraints.real, (), (self.size,))
        return self.run(self.row(pyro.sample(CONTEXT, place)))

    @property
    def size(self) -> int:
        """How many coordinates the site has, C + 1."""
        return self.contexts.size + 1

    def coordinates(self, rows: Tensor) -> Tensor:
        """``(..., C)`` rows as values ``(..., C + 1)`` of the site."""
        return torch.cat([rows, torch.full_like(rows[..., :1], torch.nan)], -1)

    def row(self, coordinates: Tensor) -> Tensor:
        """The inverse of ``coordinates``; for coordinates that a search drew, a row near the first data set."""
        given, searched = coordinates.detach().split([self.contexts.size, 1], -1)
        return torch.where(searched.isnan(), given, self.first.to(given) + UNIT * given)

    def run(self, row: Tensor, simulate: bool = False) -> object:
        """Runs the model on the data set of one ``row: (C,)``; with ``simulate`` it draws the data instead."""
        values = self.values(row)
        given = {part.name: value for part, value in zip(self.contexts.parts, values, strict=True)}
        arguments = self.called_with(given)
        observed = {site: given[name].reshape(self.shapes[site]) for site, name in self.sites.items()}
        with Presenting(observed, self.present(row), simulate):
            return self.model(*arguments.args, **arguments.kwargs)

    def called_with(self, values: Mapping[str, Any]) -> inspect.BoundArguments:
        """The model's arguments with these values; values of sites are left out."""
        plain = self.arguments
        given = {name: value for name, value in values.items() if name in plain.arguments}
        return inspect.BoundArguments(plain.signature, {**plain.arguments, **given})  # type: ignore[arg-type]

    def values(self, row: Tensor) -> list[Tensor]:
        """The parts in the shapes and dtypes that the model takes.

        Missing rows of a set become the first row of the first data set: a NaN would reach the gradient of the others.
        """
        values = []
        firsts = self.contexts.split(self.first.to(row))
        for part, value, first in zip(self.contexts.parts, self.contexts.split(row), firsts, strict=True):
            if self.contexts.ragged:
                value = torch.where(value.isnan(), first[:1].expand_as(value), value)
            value = value if part.dtype.is_floating_point else value.round()
            values.append(value.to(part.dtype)[None] if self.local else value.to(part.dtype))
        return values

    def present(self, row: Tensor) -> Tensor | None:
        """Which rows of a set are there, ``(..., rows)`` bool; ``None`` if the parts are not sets."""
        part = self.contexts.parts[0]
        return self.contexts.present(row[..., : part.shape.numel()], part) if self.contexts.ragged else None

    def _observed(self) -> dict[str, str]:
        """Sites that observe a part as it is: the argument itself, in its memory, or the site that the user named."""
        values = {part.name: value for part, value in zip(self.contexts.parts, self.values(self.first), strict=True)}
        arguments = self.called_with(values)
        with undisturbed(self.first.device), torch.no_grad():
            trace = poutine.trace(self.model).get_trace(*arguments.args, **arguments.kwargs)
        self.shapes: dict[str, torch.Size] = {}
        found: dict[str, str] = {}
        for name, site in sample_sites(trace).items():
            if is_deterministic(site) or is_factor(site) or not is_data(site):
                continue
            for part in self.contexts.parts:
                if name == part.name if not part.argument else _same_memory(site["value"], values[part.name]):
                    found[name] = part.name
                    self.shapes[name] = site["value"].shape
        return found


class Presenting(Messenger):
    """Gives observed sites their part of the context, or draws them; masks the missing rows of a set.

    Args:
        observed: Values by site.
        present: ``(rows,)`` bool, or ``None`` if the parts are not sets.
        simulate: Draws the sites and ignores ``observed``.
    """

    def __init__(self, observed: Mapping[str, Tensor], present: Tensor | None, simulate: bool):
        super().__init__()
        self.observed = observed
        self.present = present
        self.simulate = simulate

    def _pyro_sample(self, message: Message) -> None:
        value = self.observed.get(message["name"])
        if value is None:
            return
        message["value"], message["is_observed"] = (None, False) if self.simulate else (value, True)
        if self.present is not None:
            mask = self._mask(message, value, self.present)
            message["mask"] = mask if message["mask"] is None else mask & message["mask"]

    def _mask(self, message: Message, value: Tensor, present: Tensor) -> Tensor:
        """``present`` in the plate over the rows: first choice is the plate of the value's own first dimension."""
        batch_dims = value.ndim - message["fn"].event_dim
        frames = [
            frame for frame in message["cond_indep_stack"] if frame.vectorized and frame.size == present.shape[-1]
        ]
        for frame in sorted(frames, key=lambda frame: frame.dim != -batch_dims):
            return present.reshape(present.shape + (1,) * (-frame.dim - 1))
        raise ModelError(
            f"observed site {message['name']!r} is in no plate over the {present.shape[-1]} rows of a set, so a "
            "smaller set cannot be told from a larger one; write with pyro.plate('rows', len(y)): around it"
        )


def is_data(site: Message) -> bool:
    """Whether a site of a plain trace is observed."""
    return bool(site["is_observed"]) and isinstance(site["value"], Tensor)


def _same_memory(value: Tensor, part: Tensor) -> bool:
    same = value.data_ptr() == part.data_ptr() and value.numel() == part.numel() and value.dtype == part.dtype
    return same and value.is_contiguous()  # a transposed view has the memory, in another order


def as_data_sets(
    model: Callable, amortize: str | Sequence[str] | LocalTo | None, args: Sequence, kwargs: Mapping[str, Any]
) -> inspect.BoundArguments:
    """The arguments of one call of the model as those of ``fit``: what is amortized over with one more dimension."""
    arguments = bound_arguments(model, args, kwargs)
    if amortize is not None and not isinstance(amortize, LocalTo):
        names = [amortize] if isinstance(amortize, str) else amortize
        arguments.arguments.update(
            {name: arguments.arguments[name][None] for name in names if name in arguments.arguments}
        )
    return arguments
