"""Observed values in a form that their distribution's density takes: whole numbers and truth values as floats."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from pyro.distributions import constraints
from pyro.poutine.messenger import Messenger

from amortized._types import Tensor
from amortized.targets.pyro.checks.ranges import parameters_of

Message = dict[str, Any]


class Casting(Messenger):
    """Gives observed sites ``as_taken`` values."""

    def _pyro_sample(self, message: Message) -> None:
        cast_data(message)


def cast_data(message: Message) -> None:
    """The value of an observed site ``as_taken`` by its distribution, in the message itself."""
    if message["is_observed"]:
        message["value"] = as_taken(message["value"], message["fn"])


def as_taken(value: Any, fn: Any) -> Any:
    """A whole number as a tensor; 0/1 data as floats where the density raises on truth values or int64.

    Any other value stays as it is. Nothing is lost: the support holds 0 and 1 alone, or the values are truth values.

    >>> import pyro.distributions as dist
    >>> as_taken(torch.tensor([1, 0]), dist.Bernoulli(0.5)), as_taken(torch.tensor([1, 0]), dist.Poisson(0.5))
    (tensor([1., 0.]), tensor([1, 0]))
    """
    if isinstance(value, (bool, int, np.integer, np.bool_)):
        value = torch.as_tensor(value)
    if not isinstance(value, Tensor) or value.is_floating_point() or value.is_complex():
        return value
    if value.dtype != torch.bool and not _is_boolean(fn):
        return value
    try:
        fn.log_prob(value)
    except (RuntimeError, TypeError):
        return value.to(_dtype(fn))
    except ValueError:  # a shape, or a value outside the support: named by the checks
        return value
    return value


def _dtype(fn: Any) -> torch.dtype:
    """The widest of the distribution's parameters and the default: a narrower value would round them in place."""
    dtype = torch.get_default_dtype()
    for _, parameter, _ in parameters_of(fn):
        dtype = torch.promote_types(dtype, parameter.dtype)
    return dtype


def _is_boolean(fn: Any) -> bool:
    """Whether the support is 0 and 1, also of a mixture of such distributions."""
    try:
        support = fn.support
    except (NotImplementedError, AttributeError):
        return False
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return isinstance(support, type(constraints.boolean))
