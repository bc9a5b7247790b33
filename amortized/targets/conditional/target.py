"""The posteriors of a model for every data set at once: one joint density, presented for some contexts at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from pyro import poutine

from amortized._types import Tensor
from amortized.targets.conditional.contexts import ContextPart, Contexts, LocalTo
from amortized.targets.conditional.given import GivenTarget
from amortized.targets.conditional.held import check_held
from amortized.targets.conditional.model import CONTEXT, ContextualModel, is_data
from amortized.targets.conditional.sets import check_sets
from amortized.targets.pyro.checks.validation import check_data_sets
from amortized.targets.pyro.data import as_tensors, bound, call_with_tensors
from amortized.targets.pyro.faults import arguments, of_arguments
from amortized.targets.pyro.target import PyroTarget
from amortized.targets.pyro.trace import (
    LatentSite,
    ModelError,
    is_deterministic,
    is_discrete,
    is_random_choice,
    sample_sites,
    undisturbed,
)


class ConditionalTarget:
    """``log R(x; c) = log p(z(x), c) + Σ log |det dz/dx|`` of a Pyro model, for every context c.

    ``amortize`` names the arguments, or observed sites, that make up the context: a string, several, or ``LocalTo`` a
    plate. In ``args`` and ``kwargs`` the named arguments have one more leading dimension: the data sets ``rows``; sets
    of different size are lists of tensors. Raises ``ModelError`` for a name that is neither, for data that no site
    observes, for latents that are not local to the plate, and what ``PyroTarget`` raises.

    >>> import pyro, pyro.distributions as dist
    >>> def model(y):
    ...     mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(mean, 1.0), obs=y)
    >>> target = ConditionalTarget(model, "y", (torch.tensor([0.0, 2.0]),))
    >>> given = target.at(torch.tensor([[1.0], [3.0]]))
    >>> given.log_prob_and_score(torch.zeros(4, 1))[1].flatten().tolist()
    [1.0, 3.0, 1.0, 3.0]
    """

    def __init__(
        self,
        model: Callable,
        amortize: str | Sequence[str] | LocalTo,
        args: Sequence = (),
        kwargs: Mapping[str, Any] | None = None,
        *,
        seed: int = 0,
        capture_seconds: float = 20.0,
    ):
        local = amortize if isinstance(amortize, LocalTo) else None
        read = _Reading(model, amortize, args, dict(kwargs or {}))
        self.rows = read.rows
        self.contexts = read.contexts
        self.program = _program(model, read)
        _check_observed(self.program, read.rows)
        check_data_sets(self.program, read.rows, seed)
        check_held(self.program)
        self.joint = PyroTarget(self.program, seed=seed, capture_seconds=capture_seconds)
        self.dim = self.joint.dim - self.program.size
        self.dtype, self.device = self.joint.dtype, self.joint.device
        self._check_latents(local)
        check_sets(self.program, read.rows)

    @property
    def calls(self) -> int:
        return self.joint.calls

    def check_unchanged(self) -> None:
        """As ``PyroTarget.check_unchanged``."""
        self.joint.check_unchanged()

    @property
    def latents(self) -> dict[str, LatentSite]:
        """As ``PyroTarget.latents``: in the order of their places in ``x``."""
        before = self.program.size
        return {
            name: replace(site, slice=slice(site.slice.start - before, site.slice.stop - before))
            for name, site in self.joint.latents.items()
            if name != CONTEXT
        }

    def at(self, rows: Tensor, numbers: Tensor | None = None) -> GivenTarget:
        """The densities given these contexts ``(M, C)``; row i of a batch belongs to context ``i mod M``."""
        return GivenTarget(self, rows, numbers)

    def coordinates(self, rows: Tensor, x: Tensor) -> Tensor:
        """``(B, C + 1 + D)``, the joint density's own, from contexts ``(M, C)`` and ``x: (B, D)``."""
        places = self.program.coordinates(rows.to(self.device)).to(self.dtype)
        return torch.cat([places.repeat(len(x) // len(rows), 1), x.to(self.dtype)], 1)

    def _check_latents(self, local: LocalTo | None) -> None:
        for name, site in self.latents.items():
            frames = {plate: size for plate, size, _ in site.plates}
            if local is not None and frames.get(local.plate) != 1:
                found = f"its plates are {sorted(frames)}" if frames else "it is in no plate"
                if local.plate in frames:
                    found = f"the plate has {frames[local.plate]} rows for one row of data (write len(data) there)"
                raise ModelError(
                    f"amortize=LocalTo({local.plate!r}): latent site {name!r} is not local to that plate, {found}; "
                    f"move it into with pyro.plate({local.plate!r}, len(data)):, or amortize over whole data sets by "
                    "naming the arguments"
                )
            if self.contexts.ragged and self.contexts.parts[0].shape[0] in frames.values():
                raise ModelError(
                    f"latent site {name!r} has one value for each row of a set, so data sets of different size have "
                    "posteriors of different dimension; pass data sets of one size as one tensor"
                )


class _Reading:
    """The contexts among a model's arguments, and the arguments of the first data set alone."""

    def __init__(
        self,
        model: Callable,
        amortize: str | Sequence[str] | LocalTo,
        args: Sequence,
        kwargs: dict[str, Any],
    ):
        args, kwargs = call_with_tensors(model, args, kwargs)
        arguments = bound(model, args, kwargs)
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
        dtypes = [part.dtype for part in parts if part.dtype.is_floating_point]
        widest = torch.get_default_dtype()
        for dtype in dtypes:
            widest = torch.promote_types(widest, dtype)
        self.contexts = Contexts(parts, widest, ragged)
        self.rows, _ = self.contexts.rows([sets if ragged else torch.stack(sets) for sets in values.values()])
        self.first = self.rows[longest]
        arguments.arguments.update({name: one for name, one in firsts.items() if name not in sites})
        self.args, self.kwargs = arguments.args, arguments.kwargs


def _names(amortize: str | Sequence[str] | LocalTo, arguments: Mapping[str, Any]) -> list[str]:
    """What ``amortize`` names; for ``LocalTo``, all tensors that have as many rows as the first tensor has."""
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
    """The values of observed sites, each as one data set; ``ModelError`` for a name that is no such site."""
    if not names:
        return {}
    with undisturbed(), torch.no_grad():
        trace = poutine.trace(model).get_trace(*args, **kwargs)
    data = {name: site["value"] for name, site in sample_sites(trace).items() if is_data(site)}
    for name in names:
        if name not in data:
            arguments = list(bound(model, args, kwargs).arguments)
            raise ModelError(
                f"amortize={name!r} is neither an argument of the model {arguments} nor an observed site {list(data)}; "
                "write one of these, or LocalTo('plate')"
            )
    return {name: [data[name]] for name in names}


def _program(model: Callable, read: _Reading) -> ContextualModel:
    """The model as a program of its context; says what a data set was taken for where the model fails on the first."""
    try:
        return ContextualModel(model, read.args, read.kwargs, read.contexts, read.first, read.local)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        if isinstance(error, ModelError):
            raise
        if said := of_arguments(error, arguments(model, read.args, read.kwargs)):
            raise ModelError(said) from error
        part = read.contexts.parts[0]
        raise ValueError(
            f"the model fails on the first data set, in which {part.name!r} has shape {tuple(part.shape)}: {error}; "
            f"fit takes data sets along a first dimension, for one of them write [{part.name}]"
        ) from error


def _check_observed(program: ContextualModel, rows: Tensor) -> None:
    """Raises ``ModelError`` where data of the context enter a site in another form than their own."""
    names = program.contexts.names
    if not program.sites:
        raise ModelError(
            f"amortize={names}: no site observes any of these as it is, so data sets cannot be simulated from the "
            "model; name an observed site, amortize='site', or the argument that it observes (a factor draws no data)"
        )
    other = rows[-1] if len(rows) > 1 else rows[0] + 1.0
    with undisturbed(rows.device), torch.no_grad():
        traces = []
        for row in (rows[0], other):
            torch.manual_seed(0)
            traces.append(poutine.trace(program.run).get_trace(row))
    latents = [site for site in sample_sites(traces[0]).values() if is_random_choice({**site, "done": False})]
    if not any(not is_discrete(site) for site in latents):
        raise ModelError("the model has no continuous latent site beside its context; leave one without obs=")
    for name, site in sample_sites(traces[0]).items():
        if is_data(site) and name not in program.sites and not is_deterministic(site):
            again = traces[1].nodes[name]["value"]
            if site["value"].numel() and not torch.equal(site["value"], again):
                raise ModelError(
                    f"observed site {name!r} is computed from {names}, so data sets cannot be simulated from the "
                    f"model; name the site itself, amortize={name!r}, or pass its value as an argument of its own"
                )
