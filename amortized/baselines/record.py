"""A baseline at work, and the record of its draws."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from amortized._types import Tensor
from amortized.baselines.targets import as_target
from amortized.results.draws import Draws
from amortized.targets.base import Target
from amortized.weights import Estimate


class Run:
    """A baseline at work: its target, its clock and its target calls.

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
