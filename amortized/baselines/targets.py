"""What every baseline is given: a density, or a Pyro model and its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from amortized.targets.base import Target
from amortized.targets.pyro.target import PyroTarget


def as_target(target: Target | Callable, args: Sequence = (), kwargs: Mapping[str, Any] | None = None) -> Target:
    """The density of a Pyro model called with ``args`` and ``kwargs``, or the target itself.

    Raises:
        TypeError: for what cannot be called.
        ValueError: for arguments beside a target, which holds its data already.
        ModelError: where the model has no usable density.

    >>> import pyro, pyro.distributions as dist
    >>> def model(y):
    ...     mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    ...     pyro.sample("y", dist.Normal(mean, 1.0), obs=y)
    >>> as_target(model, (2.0,)).dim
    1
    """
    if not isinstance(target, Target):
        if not callable(target):
            raise TypeError(f"target: {target!r:.60} is neither a Target nor a Pyro model: pass the function model")
        return PyroTarget(target, args, kwargs)
    if args or kwargs:
        raise ValueError(
            f"args and kwargs: {len(args)} and {len(kwargs or {})} given beside a Target, which holds its data "
            "already; leave them out, or pass the Pyro model in its place"
        )
    return target
