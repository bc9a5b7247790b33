"""What Pyro's validation would say of a model, once, before anything is built on it: shapes, supports, constraints."""

from __future__ import annotations

import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import pyro
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from pyro.poutine.subsample_messenger import _Subsample
from torch.utils import _pytree as pytree

from amortized._types import Tensor
from amortized.targets.conditional.model import ContextualModel
from amortized.targets.pyro.arguments import Call, argument_names, call_with_tensors
from amortized.targets.pyro.bijections import bijection
from amortized.targets.pyro.checks.finite import check_finite
from amortized.targets.pyro.checks.observed import check_shape, check_support
from amortized.targets.pyro.checks.ranges import can_be_drawn, described, inside, outside, parameters_of, remedy, same
from amortized.targets.pyro.data import cast_data
from amortized.targets.pyro.failures import in_words, tell
from amortized.targets.pyro.missing import whole_name
from amortized.targets.pyro.structure import Structure, discover
from amortized.targets.pyro.trace import (
    Message,
    ModelError,
    is_deterministic,
    is_discrete,
    is_factor,
    is_random_choice,
    sample_sites,
    undisturbed,
)
from amortized.targets.troubles import first_line

FEW, DRAWS = 20, 100
"""Draws of the prior, more where one of the few leaves a constraint: a share is then known to five points."""
SECONDS = 0.2
"""For the few: a model of 10 ms a run gets them all. Five times that for the many."""
CONFIRMED = 3
"""Points at which Pyro must object before its words are passed on."""
SUSPECTS = 3
"""Data sets outside the first one's support that are judged by their own: a smaller set has missing rows."""
FAILURES = (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError)


def checked(
    model: Callable, args: Sequence, kwargs: Mapping[str, Any], seed: int
) -> tuple[tuple, dict[str, Any], Structure]:
    """The arguments as tensors, and the structure of the model on them, after ``check``.

    Raises ``ModelError`` also for what the model itself raises on every run, with the line and the arguments.
    """
    args, kwargs = call_with_tensors(model, args, kwargs)
    with in_words(model, args, kwargs):
        if not isinstance(model, ContextualModel):  # its data sets are judged by check_data_sets
            check((model, args, kwargs), seed)
        return args, kwargs, discover(model, args, kwargs, seed)


def check_data_sets(program: ContextualModel, rows: Tensor, seed: int) -> None:
    """``check`` of the first data set, and of the first of ``rows: (N, C)`` that is outside the support there.

    Where shapes differ it says how to pass one data set alone.
    """
    names = ", ".join(f"[{name}]" for name in program.contexts.names)
    trace = check((program.run, (program.first,), {}), seed, f"; for one data set write fit({names})")
    sites = {} if trace is None else sample_sites(trace)
    parts = dict(zip(program.contexts.names, program.contexts.split(rows), strict=True))
    for name, part in program.sites.items():
        if name not in sites:
            continue
        values = parts[part].reshape(len(rows), *program.shapes[name])
        found = inside(values, sites[name]["fn"])
        if found is None or found.all():
            continue
        wrong = ~found.reshape(len(rows), -1).all(1)
        for number in wrong.nonzero()[:SUSPECTS, 0].tolist():
            try:
                check((program.run, (rows[number],), {}), seed)
            except ModelError as error:
                raise ModelError(f"data set {number}: {error}") from error


def check(call: Call, seed: int, hint: str = "") -> poutine.Trace | None:
    """Runs the model near 0 in unconstrained space and at draws of its prior, and judges every site; the first run.

    Raises ``ModelError`` for data whose shape or values are not those of their distribution, and for a parameter that
    is outside its constraint whatever the latents are. Warns of a parameter that is so in a part of the prior, of a
    model that observes nothing, and of what else Pyro's validation objects to. ``hint`` ends what is said of shapes.
    A model that fails on every run is left to the caller: None.
    """
    runs = _Runs(call, seed)

    def are_finite(other: Call) -> bool:
        return (runs if other is call else _Runs(other, seed)).are_finite()

    _check_parameters(runs)
    if runs.trace is None:
        return check_finite(call, are_finite)
    for name, site in sample_sites(runs.trace).items():
        if _is_data(site):
            known_as, objects = whole_name(name, runs.trace.nodes), partial(runs.objects, name)
            if said := check_shape(known_as, site, objects, hint):
                tell(said)
            if runs.is_same(name) and name not in runs.moving:  # else it may be inside at another point
                check_support(known_as, site, objects)
    _check_something_observed(runs.trace, call)
    check_finite(call, are_finite)
    if not runs.left and (error := runs.objection(())) is not None:
        tell(f"Pyro's own validation objects to this model: {error}; look at it, or write validate_args=False there")
    return runs.trace


class _Left(Exception):
    """A parameter is outside its constraint, and the run cannot go on: ``_Leaving`` is its one argument."""


@dataclass(frozen=True)
class _Leaving:
    """Where a parameter leaves its constraint: its site, name, first value and limits, in words."""

    site: str
    parameter: str
    value: str
    limits: str


class _Looking(Messenger):
    """Draws latents, or places them near 0 in unconstrained space, once the parameters of their site are judged."""

    def __init__(self, near: bool, dtype: torch.dtype, judges: bool):
        super().__init__()
        self.near, self.dtype, self.judges = near, dtype, judges

    def _pyro_sample(self, message: Message) -> None:
        fn = message["fn"]
        cast_data(message)
        if isinstance(fn, _Subsample) or is_deterministic(message) or is_factor(message):
            return
        for parameter, value, constraint in parameters_of(fn) if self.judges else ():
            bad = outside(value.detach(), constraint)
            if bad is not None and bad.any():
                first = f"{value.expand(bad.shape)[bad][0].item():.4g}"
                raise _Left(_Leaving(message["name"], parameter, first, described(constraint)))
        if is_random_choice(message) and not is_discrete(message):
            message["value"] = self._near(fn) if self.near or not can_be_drawn(fn) else fn.sample()

    def _near(self, fn: Any) -> Tensor:
        transform = cast(Any, bijection(fn.support))
        shape = transform.inverse_shape(torch.Size(fn.batch_shape + fn.event_shape))
        return transform(torch.rand(shape, dtype=self.dtype) * 2 - 1)


class _Runs:
    """Runs of a model, the first near 0, the others at draws of its prior; one on which it raises is not counted.

    ``trace`` and ``other``: the first two that came to their end. ``left``: where those left a constraint that stopped.
    ``moving``: observed sites whose support was not the same in all of them.
    """

    def __init__(self, call: Call, seed: int):
        self.call, self.seed = call, seed
        self.trace: poutine.Trace | None = None
        self.other: poutine.Trace | None = None
        self.left: list[_Leaving] = []
        self.moving: set[str] = set()
        self.count = 0
        began, wanted, seconds = time.perf_counter(), FEW, SECONDS
        for number in range(DRAWS + 1):
            self.count += self._attempt(seed + number, near=number == 0)
            if self.left:
                wanted, seconds = DRAWS, 5 * SECONDS
            if number >= wanted or (number > 1 and time.perf_counter() - began > seconds):
                break

    def _attempt(self, seed: int, near: bool) -> bool:
        """One run; whether it counts, which one on which the model raises does not."""
        try:
            self._keep(self._run(seed, near))
        except _Left as left:
            self.left.append(left.args[0])
        except ModelError:
            raise
        except FAILURES:
            return False
        return True

    def _keep(self, trace: poutine.Trace) -> None:
        if self.trace is None:
            self.trace = trace
            return
        self.other = self.other or trace
        first = sample_sites(self.trace)
        for name, site in sample_sites(trace).items():
            if _is_data(site) and name in first and not same(_support(first[name]), _support(site)):
                self.moving.add(name)

    def _run(self, seed: int, near: bool, judges: bool = True, names: Sequence[str] | None = None) -> poutine.Trace:
        """A trace in the dtype of the arguments; with ``names``, under Pyro's validation, densities of these sites."""
        model, args, kwargs = self.call
        dtype = torch.get_default_dtype()
        for leaf in pytree.tree_leaves((tuple(args), dict(kwargs))):
            if isinstance(leaf, Tensor) and leaf.is_floating_point():
                dtype = torch.promote_types(dtype, leaf.dtype)
        with undisturbed(), torch.no_grad(), warnings.catch_warnings(), pyro.validation_enabled(names is not None):
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            with _Looking(near, dtype, judges):
                trace = poutine.trace(model).get_trace(*args, **kwargs)
            trace.compute_log_prob(lambda name, site: name in (names or ()))
            return trace

    def is_same(self, name: str) -> bool:
        """Whether a site has the same value in two runs, NaN counting as equal to itself: it is data then."""
        values = [trace.nodes[name]["value"] for trace in (self.trace, self.other) if trace and name in trace.nodes]
        return len(values) == 2 and torch.equal(*(torch.as_tensor(value).double().nan_to_num() for value in values))

    def objection(self, names: Sequence[str]) -> str | None:
        """What Pyro's validation says of the model and of the densities of these sites, at each of a few points."""
        for number in range(CONFIRMED):
            try:
                self._run(self.seed + number, near=number == 0, judges=False, names=names)
                return None
            except FAILURES as error:
                said = first_line(error)
        return said

    def are_finite(self) -> bool:
        """Whether the density is finite at one of two points."""
        with warnings.catch_warnings(), suppress(*FAILURES):
            warnings.simplefilter("ignore")
            found = [torch.as_tensor(trace.log_prob_sum()) for trace in (self.trace, self.other) if trace is not None]
            return any(bool(one.isfinite()) for one in found)
        return False

    def objects(self, name: str) -> bool:
        return self.objection((name,)) is not None


def _check_parameters(runs: _Runs) -> None:
    """One error for a parameter that is outside its constraint at one value always, one warning where it is at some."""
    if not runs.left:
        return
    found, times = Counter(runs.left).most_common(1)[0]
    what = f"site {found.site!r}: the {found.parameter} of its distribution"
    if times == runs.count > 1:
        raise ModelError(
            f"{what} is {found.value} whatever the latents are, and must be {found.limits}: correct the number or the "
            "argument that it comes from"
        )
    share = sum((one.site, one.parameter) == (found.site, found.parameter) for one in runs.left) / runs.count
    tell(
        f"{what} must be {found.limits}, and is not at {share:.0%} of {runs.count} prior draws (there it is "
        f"{found.value}): {remedy(found.parameter, found.limits)}"
    )


def _support(site: Message) -> Any:
    try:
        return site["fn"].support
    except (NotImplementedError, AttributeError):
        return None


def _is_data(site: Message) -> bool:
    plate = isinstance(site["fn"], _Subsample)
    return bool(site["is_observed"]) and not (plate or is_deterministic(site) or is_factor(site))


def _check_something_observed(trace: poutine.Trace, call: Call) -> None:
    """Warns where neither data nor a factor say anything of the latents."""
    sites = {name: site for name, site in sample_sites(trace).items() if not isinstance(site["fn"], _Subsample)}
    latents = [name for name, site in sites.items() if not (is_deterministic(site) or _is_data(site))]
    if not latents or any(_is_data(site) or is_factor(site) for site in sites.values()):
        return
    name = next((name for name in argument_names(call[0]) if name in latents), "y")
    tell(f"no site is observed: these are prior draws; write pyro.sample({name!r}, ..., obs={name}) for the data")
