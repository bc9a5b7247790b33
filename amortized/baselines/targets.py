"""What every baseline begins and ends with: a density, or a Pyro model and its arguments; the record of its draws."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from amortized._types import Tensor
from amortized.results.draws import Draws
from amortized.targets.base import Target
from amortized.targets.pyro.target import PyroTarget
from amortized.weights import Estimate


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


class Run:
    """A baseline at work: its target, its clock, its target calls, and the record at its end.

    Args:
        target: a density, or a Pyro model. Building its density counts as time.
        args: of the model.
        kwargs: of the model.
    """

    def __init__(self, target: Target | Callable, args: Sequence = (), kwargs: Mapping[str, Any] | None = None):
        self.started = time.perf_counter()
        self.target = as_target(target, args, kwargs)
        self.calls_before = self.target.calls

    def draws(
        self,
        method: str,
        states: Tensor,
        attributes: Mapping[str, float | int | str],
        chains: int = 1,
        log_weights: Tensor | None = None,
        log_evidence: Estimate | None = None,
    ) -> Draws:
        """The record of unconstrained ``states: (N, D)``, chain after chain."""
        return Draws(
            sites=self.target.constrain(states),
            method=method,
            states=states,
            target=self.target,
            chains=chains,
            log_weights=log_weights,
            log_evidence=log_evidence,
            seconds=time.perf_counter() - self.started,
            target_calls=self.target.calls - self.calls_before,
            attributes=dict(attributes),
        )


class LogDensity(torch.autograd.Function):
    """``log R(x)``: ``(B, D) -> (B,)`` for autograd. The gradient comes with the value, without a backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, target: Target) -> Tensor:  # type: ignore[override]
        value, score = target.log_prob_and_score(x.detach().to(target.dtype))
        ctx.save_for_backward(score.to(x.dtype))
        return value.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[override]
        (score,) = ctx.saved_tensors
        return gradient[:, None] * score, None
