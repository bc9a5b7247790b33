"""Constraints of parameters and data: which values keep them, and what they are in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions import constraints

from amortized._types import Tensor

ROUNDING = 1e-6
"""How far beyond a bound counts as rounding, relative to 1 + the bound: about ten units of float32's last place."""
SHARPEST = 1e12
"""Largest concentration at which a von Mises law is drawn: 1 + 1/k loses its digits in float64 at 1e16."""
INNER = ("base_dist", "component_distribution", "mixture_distribution")
"""Attributes that hold the distributions inside a distribution."""
Constraint = constraints.Constraint


def parameters_of(fn: Any) -> Iterator[tuple[str, Tensor, Constraint]]:
    """Name, value and constraint of each parameter of a distribution and of those inside it.

    >>> import pyro.distributions as dist
    >>> [name for name, _, _ in parameters_of(dist.Normal(torch.zeros(2), 1.0).to_event(1).mask(False))]
    ['loc', 'scale']
    """
    limits = getattr(type(fn), "arg_constraints", {})
    for name, constraint in limits.items() if isinstance(limits, dict) else ():
        value = fn.__dict__.get(name)
        if isinstance(value, Tensor) and value.is_floating_point() and not constraints.is_dependent(constraint):
            yield name, value, constraint
    for name in INNER:
        if (inner := getattr(fn, name, None)) is not None:
            yield from parameters_of(inner)


def can_be_drawn(fn: Any) -> bool:
    """Whether ``fn.sample()`` comes to its end, which it does not for a flat law or for extreme parameters.

    ``VonMises(0, k).sample()`` never returns if k is 0, infinite, or so large that its rejection accepts nothing.

    >>> import pyro.distributions as dist
    >>> can_be_drawn(dist.VonMises(0.0, 1.0)), can_be_drawn(dist.VonMises(0.0, torch.inf))
    (True, False)
    """
    if isinstance(fn, dist.ImproperUniform):
        return False
    parameters = list(parameters_of(fn))
    shapes = [value for name, value, _ in parameters if name == "concentration"]
    sound = [value.isfinite() for _, value, _ in parameters] + [(k > 0) & (k < SHARPEST) for k in shapes]
    return all(bool(good.all()) for good in sound)


def draw_or_none(fn: Any) -> Tensor | None:
    """One draw of a distribution; None from one that cannot draw."""
    with suppress(NotImplementedError):
        return fn.sample() if can_be_drawn(fn) else None
    return None


def beyond_bounds(value: Tensor, constraint: Constraint) -> Tensor | None:
    """Which elements are finite and clearly beyond a bound; None for a constraint without bounds.

    A value at its bound, or one that is not finite, may be the rounding of a far tail and does not count.

    >>> beyond_bounds(torch.tensor([-1.0, 0.0, 2.0]), constraints.positive).tolist()
    [True, False, False]
    """
    constraint = _inner(constraint)
    low, high = getattr(constraint, "lower_bound", None), getattr(constraint, "upper_bound", None)
    if isinstance(constraint, type(constraints.simplex)):
        low, high = 0.0, 1.0
    if low is None and high is None:
        return None
    beyond = torch.zeros_like(value, dtype=torch.bool)
    if low is not None:
        beyond = beyond | (value < low - ROUNDING * (1 + abs(low)))
    if high is not None:
        beyond = beyond | (value > high + ROUNDING * (1 + abs(high)))
    return beyond & value.isfinite()


def inside(value: Tensor, fn: Any) -> Tensor | None:
    """Which values, or events, are in the support of ``fn``, bool; None if the distribution cannot say.

    The parts of a simplex may sum to 1 within a thousandth: torch's check is finer than float32. Counts of a
    multinomial may have any sum, which the density takes from them.
    """
    try:
        support = fn.support
        if isinstance(_inner(support), type(constraints.simplex)):
            return (value >= -ROUNDING).all(-1) & ((value.sum(-1) - 1).abs() < 1e-3)
        if isinstance(_inner(support), constraints.multinomial):
            return ((value >= 0) & (value % 1 == 0)).all(-1)
        return support.check(value)
    except (NotImplementedError, RuntimeError, ValueError, TypeError, AttributeError):
        return None


def described(constraint: Constraint) -> str:
    """A constraint in words that follow "must be".

    >>> described(constraints.positive), described(constraints.nonnegative_integer), described(constraints.boolean)
    ('above 0', 'whole numbers from 0', '0 or 1')
    """
    constraint = _inner(constraint)
    low, high = (_number(getattr(constraint, name, None)) for name in ("lower_bound", "upper_bound"))
    kind = type(constraint)
    if kind is type(constraints.boolean):
        return "0 or 1"
    if kind is type(constraints.simplex):
        return "shares that sum to 1"
    if constraint.is_discrete:
        return (
            f"whole numbers from {low}" + (f" to {high}" if high is not None else "")
            if low is not None
            else "whole numbers"
        )
    if low is not None and high is not None:
        return f"between {low} and {high}"
    if low is not None:
        return f"above {low}" if kind is type(constraints.positive) else f"at least {low}"
    if high is not None:
        return f"below {high}"
    return "numbers" if kind is type(constraints.real) else f"in {constraint}"


def remedy(parameter: str, limits: str) -> str:
    """What to write for a parameter that is sometimes outside ``limits``, given in the words of ``described``."""
    if limits in ("above 0", "at least 0"):
        return f"give it a positive prior, dist.HalfNormal(1.0), or write {parameter}.exp()"
    if limits == "between 0 and 1":
        return f"give it the prior dist.Beta(1.0, 1.0), or write torch.sigmoid({parameter})"
    return "transform it, or check the argument that it comes from"


def same_constraint(one: Any, other: Any) -> bool:
    """Whether two constraints are of one kind with equal bounds, at any depth; False if that cannot be told.

    >>> same_constraint(constraints.interval(0.0, 1.0), constraints.interval(0.0, 2.0))
    False
    """
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, Tensor):
        return one.shape == other.shape and bool((one == other).all())
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(same_constraint(*pair) for pair in zip(one, other, strict=True))
    if isinstance(one, Constraint):
        return same_constraint(list(one.__dict__.items()), list(other.__dict__.items()))
    return bool(one == other)


def _inner(constraint: Constraint) -> Constraint:
    while isinstance(constraint, constraints.independent):
        constraint = constraint.base_constraint
    return constraint


def _number(bound: Any) -> str | None:
    """A bound in words: ``low…high`` if it differs between elements."""
    if bound is None:
        return None
    values = torch.as_tensor(bound).reshape(-1).unique().tolist()
    return f"{values[0]:g}" if len(values) == 1 else f"{values[0]:g}…{values[-1]:g}"
