"""Finite discrete latents summed out of a density, as Pyro's NUTS does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pyro.ops.special
import pyro.poutine as poutine
import torch
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


class _SafeLog(torch.autograd.Function):
    """``log x`` whose gradient at 0 is finite, as ``pyro.ops.special.safe_log`` has it, written for ``torch.func``."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x.log()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad / x.clamp(min=torch.finfo(x.dtype).eps)


@contextmanager
def batchable_logarithm() -> Iterator[None]:
    """Within it, Pyro's ``safe_log``, on which sums over discrete states rest, works under ``torch.func``."""
    own = pyro.ops.special._SafeLog
    pyro.ops.special._SafeLog = _SafeLog
    try:
        yield
    finally:
        pyro.ops.special._SafeLog = own
