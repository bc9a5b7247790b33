"""The checks of a model and its data that come first, and all that a target is built on: arguments and structure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pyro import poutine
from pyro.poutine.subsample_messenger import _Subsample

from amortized._types import Tensor
from amortized.targets.conditional.model import ContextualModel
from amortized.targets.pyro.arguments import Call, argument_names, call_with_tensors
from amortized.targets.pyro.checks.finite import check_finite
from amortized.targets.pyro.checks.observed import check_shape, check_support
from amortized.targets.pyro.checks.ranges import inside, remedy
from amortized.targets.pyro.checks.runs import Runs
from amortized.targets.pyro.failures import in_words, tell
from amortized.targets.pyro.missing import whole_name
from amortized.targets.pyro.structure import Structure, discover
from amortized.targets.pyro.trace import ModelError, is_deterministic, is_factor, is_likelihood, sample_sites

SUSPECTS = 3
"""Data sets outside the first one's support that are judged by their own: a smaller set has missing rows."""


def checked(
    model: Callable, args: Sequence, kwargs: Mapping[str, Any], seed: int
) -> tuple[tuple, dict[str, Any], Structure]:
    """The arguments as tensors, and the structure of the model on them, after ``check``.

    Raises:
        ModelError: As ``check`` and ``discover``; also for what the model raises on every run, with line and arguments.
        ValueError: An argument holds something other than numbers.
    """
    args, kwargs = call_with_tensors(model, args, kwargs)
    with in_words(model, args, kwargs):
        if not isinstance(model, ContextualModel):  # check_data_sets judges its data sets
            check((model, args, kwargs), seed)
        return args, kwargs, discover(model, args, kwargs, seed)


def check_data_sets(program: ContextualModel, rows: Tensor, seed: int) -> None:
    """``check`` of the first data set, and of those of ``rows: (N, C)`` that are outside the first one's support.

    Raises:
        ModelError: As ``check``, with the number of the data set; of a wrong shape with how to pass one set alone.
    """
    names = ", ".join(f"[{name}]" for name in program.contexts.names)
    trace = check((program.run, (program.first,), {}), seed, f"; for one data set write fit({names})")
    sites = {} if trace is None else sample_sites(trace)
    parts = dict(zip(program.contexts.names, program.contexts.split(rows), strict=True))
    for name, part in program.sites.items():
        if name not in sites:
            continue
        values = parts[part].reshape(len(rows), *program.shapes[name])
        in_support = inside(values, sites[name]["fn"])
        if in_support is None or in_support.all():
            continue
        suspects = ~in_support.reshape(len(rows), -1).all(1)
        for number in suspects.nonzero()[:SUSPECTS, 0].tolist():
            try:
                check((program.run, (rows[number],), {}), seed)
            except ModelError as error:
                raise ModelError(f"data set {number}: {error}") from error


def check(call: Call, seed: int, hint: str = "") -> poutine.Trace | None:
    """Runs the model near 0 in unconstrained space and at draws of its prior, and judges every site.

    Warns of a parameter outside its constraint in a part of the prior, and of a model that observes nothing. Warns of
    whatever else Pyro's own validation objects to.

    Args:
        call: The model with its arguments.
        seed: Of the draws.
        hint: The end of what is said of shapes.

    Returns:
        The first run that came to its end; None for a model that fails on every run, which is left to the caller.

    Raises:
        ModelError: Data do not fit their distribution in shape or values, or a parameter is outside its constraint
            whatever the latents are.
    """
    runs = Runs(call, seed)

    def are_finite(other: Call) -> bool:
        return (runs if other is call else Runs(other, seed)).are_finite()

    _check_parameters(runs)
    if runs.trace is None:
        return check_finite(call, are_finite)
    for name, site in sample_sites(runs.trace).items():
        if is_likelihood(site):
            user_name, objection = whole_name(name, runs.trace.nodes), partial(runs.objection, (name,))
            if message := check_shape(user_name, site, objection, hint):
                tell(message)
            if runs.has_fixed_value(name) and name not in runs.varying_supports:
                check_support(user_name, site, objection)
    _check_something_observed(runs.trace, call)
    check_finite(call, are_finite)
    if not runs.violations and (message := runs.objection()) is not None:
        tell(f"Pyro's own validation objects to this model: {message}; look at it, or write validate_args=False there")
    return runs.trace


def _check_parameters(runs: Runs) -> None:
    """Raises if a parameter is outside its constraint at one value in all runs; warns if it is outside in some."""
    if not runs.violations:
        return
    worst, times = Counter(runs.violations).most_common(1)[0]
    subject = f"site {worst.site!r}: the {worst.parameter} of its distribution"
    if times == runs.count > 1:
        raise ModelError(
            f"{subject} is {worst.value} whatever the latents are, and must be {worst.limits}: correct the number or "
            "the argument that it comes from"
        )
    of_parameter = [one for one in runs.violations if (one.site, one.parameter) == (worst.site, worst.parameter)]
    tell(
        f"{subject} must be {worst.limits}, and is not at {len(of_parameter) / runs.count:.0%} of {runs.count} prior "
        f"draws (there it is {worst.value}): {remedy(worst.parameter, worst.limits)}"
    )


def _check_something_observed(trace: poutine.Trace, call: Call) -> None:
    """Warns if neither data nor a factor say anything of the latents."""
    sites = {name: site for name, site in sample_sites(trace).items() if not isinstance(site["fn"], _Subsample)}
    latents = [name for name, site in sites.items() if not (is_deterministic(site) or is_likelihood(site))]
    if not latents or any(is_likelihood(site) or is_factor(site) for site in sites.values()):
        return
    name = next((name for name in argument_names(call[0]) if name in latents), "y")
    tell(f"no site is observed: these are prior draws; write pyro.sample({name!r}, ..., obs={name}) for the data")
