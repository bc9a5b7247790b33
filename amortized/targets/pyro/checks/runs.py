"""Runs of a model at a few points, each of its statements looked at: what the checks of ``validation`` judge."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from typing import Any, cast

import pyro
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from pyro.poutine.subsample_messenger import _Subsample
from torch.utils import _pytree as pytree

from amortized._types import Tensor
from amortized.targets.pyro.arguments import Call
from amortized.targets.pyro.bijections import bijection
from amortized.targets.pyro.checks.ranges import (
    beyond_bounds,
    can_be_drawn,
    described,
    parameters_of,
    same_constraint,
)
from amortized.targets.pyro.data import cast_data, same_values
from amortized.targets.pyro.trace import (
    Message,
    ModelError,
    is_deterministic,
    is_discrete,
    is_factor,
    is_likelihood,
    is_random_choice,
    sample_sites,
    undisturbed,
)
from amortized.targets.troubles import first_line

FEW_DRAWS = 20
"""Draws of the prior for a model whose parameters keep their constraints."""
MANY_DRAWS = 100
"""Draws of the prior once a parameter has left its constraint: the share of such draws is then known to 5 points."""
SECONDS = 0.2
"""Time for the few draws: a model of 10 ms a run gets them all. The many get five times as much."""
CONFIRMATIONS = 3
"""Points at which Pyro must object before its words are passed on: an objection at one may be a far draw's."""
MODEL_EXCEPTIONS = (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError)
"""What a run may raise because of the model or its arguments."""


@dataclass(frozen=True)
class ConstraintViolation:
    """A parameter of a distribution outside its constraint: its site, its name, its first such value, its limits."""

    site: str
    parameter: str
    value: str
    limits: str


class _Stopped(Exception):
    """Ends a run at a parameter outside its constraint; its argument is the ``ConstraintViolation``."""


class _Looking(Messenger):
    """Draws latents, or places them near 0 in unconstrained space, after a look at the parameters of their site."""

    def __init__(self, near: bool, dtype: torch.dtype, check_parameters: bool):
        super().__init__()
        self.near, self.dtype, self.check_parameters = near, dtype, check_parameters

    def _pyro_sample(self, message: Message) -> None:
        fn = message["fn"]
        cast_data(message)
        if isinstance(fn, _Subsample) or is_deterministic(message) or is_factor(message):
            return
        for parameter, value, constraint in parameters_of(fn) if self.check_parameters else ():
            beyond = beyond_bounds(value.detach(), constraint)
            if beyond is not None and beyond.any():
                first = f"{value.expand(beyond.shape)[beyond][0].item():.4g}"
                raise _Stopped(ConstraintViolation(message["name"], parameter, first, described(constraint)))
        if is_random_choice(message) and not is_discrete(message):
            message["value"] = self._near_zero(fn) if self.near or not can_be_drawn(fn) else fn.sample()

    def _near_zero(self, fn: Any) -> Tensor:
        transform = cast(Any, bijection(fn.support))
        shape = transform.inverse_shape(torch.Size(fn.batch_shape + fn.event_shape))
        return transform(torch.rand(shape, dtype=self.dtype) * 2 - 1)


class Runs:
    """Runs of a model, the first near 0 in unconstrained space, the others at draws of its prior.

    A run in which the model raises is not counted. Time and ``FEW_DRAWS`` bound the number of runs, or ``MANY_DRAWS``
    once a parameter has left its constraint.

    Attributes:
        trace, other: The first two runs that came to their end; None before that.
        violations: One for each run that a parameter outside its constraint stopped.
        varying_supports: Observed sites whose support was not the same in all runs.
        count: Runs that came to their end or were stopped.
    """

    def __init__(self, call: Call, seed: int):
        self.call, self.seed = call, seed
        self.trace: poutine.Trace | None = None
        self.other: poutine.Trace | None = None
        self.violations: list[ConstraintViolation] = []
        self.varying_supports: set[str] = set()
        self.count = 0
        began, most, seconds = time.perf_counter(), FEW_DRAWS, SECONDS
        for number in range(MANY_DRAWS + 1):
            self.count += self._attempt(seed + number, near=number == 0)
            if self.violations:
                most, seconds = MANY_DRAWS, 5 * SECONDS
            if number >= most or (number > 1 and time.perf_counter() - began > seconds):
                break

    def _attempt(self, seed: int, near: bool) -> bool:
        """One run; whether it counts."""
        try:
            self._record(self._run(seed, near))
        except _Stopped as stopped:
            self.violations.append(stopped.args[0])
        except ModelError:
            raise
        except MODEL_EXCEPTIONS:
            return False
        return True

    def _record(self, trace: poutine.Trace) -> None:
        if self.trace is None:
            self.trace = trace
            return
        self.other = self.other or trace
        first = sample_sites(self.trace)
        for name, site in sample_sites(trace).items():
            if is_likelihood(site) and name in first and not same_constraint(_support(first[name]), _support(site)):
                self.varying_supports.add(name)

    def _run(
        self, seed: int, near: bool, check_parameters: bool = True, validated: Sequence[str] | None = None
    ) -> poutine.Trace:
        """A trace in the dtype of the arguments; with ``validated``, under Pyro's validation, with their densities."""
        model, args, kwargs = self.call
        leaves = pytree.tree_leaves((tuple(args), dict(kwargs)))
        floats = [leaf.dtype for leaf in leaves if isinstance(leaf, Tensor) and leaf.is_floating_point()]
        dtype = reduce(torch.promote_types, floats, torch.get_default_dtype())
        with undisturbed(), torch.no_grad(), warnings.catch_warnings(), pyro.validation_enabled(validated is not None):
            warnings.simplefilter("ignore")
            torch.manual_seed(seed)
            with _Looking(near, dtype, check_parameters):
                trace = poutine.trace(model).get_trace(*args, **kwargs)
            trace.compute_log_prob(lambda name, site: name in (validated or ()))
            return trace

    def has_fixed_value(self, name: str) -> bool:
        """Whether an observed site has the same value in two runs, so that no latent decides it."""
        values = [trace.nodes[name]["value"] for trace in (self.trace, self.other) if trace and name in trace.nodes]
        return len(values) == 2 and same_values(*values)

    def objection(self, names: Sequence[str] = ()) -> str | None:
        """What Pyro's validation says of the model and of the densities of these sites, at each of a few points."""
        message = None
        for number in range(CONFIRMATIONS):
            try:
                self._run(self.seed + number, near=number == 0, check_parameters=False, validated=names)
                return None
            except MODEL_EXCEPTIONS as error:
                message = first_line(error)
        return message

    def are_finite(self) -> bool:
        """Whether the density is finite at one of two points."""
        with warnings.catch_warnings(), suppress(*MODEL_EXCEPTIONS):
            warnings.simplefilter("ignore")
            values = [torch.as_tensor(trace.log_prob_sum()) for trace in (self.trace, self.other) if trace is not None]
            return any(bool(value.isfinite()) for value in values)
        return False


def _support(site: Message) -> Any:
    try:
        return site["fn"].support
    except (NotImplementedError, AttributeError):
        return None
