"""Finite discrete latents summed out of a density, as Pyro's NUTS does it."""

from __future__ import annotations

from collections.abc import Callable

import pyro.poutine as poutine
from pyro.infer import config_enumerate
from pyro.infer.mcmc.util import TraceEinsumEvaluator

from amortized._types import Tensor


class Enumerator:
    """``log Σ_z p(x, z, data)`` by running the model once with every value of z along dimensions of its own."""

    def __init__(self, plate_depth: int):
        self.plate_depth = plate_depth

    def wrap(self, model: Callable) -> Callable:
        return poutine.enum(config_enumerate(model), first_available_dim=-1 - self.plate_depth)

    def log_prob(self, trace: poutine.Trace) -> Tensor:
        evaluator = TraceEinsumEvaluator(trace, has_enumerable_sites=True, max_plate_nesting=self.plate_depth)
        return evaluator.log_prob(trace)
