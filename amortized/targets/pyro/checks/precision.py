"""How far rounding moves a model's log density: the model is compared with itself in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch.utils import _pytree as pytree

from amortized._torch import default_dtype
from amortized._types import Tensor
from amortized.targets.cost import timed
from amortized.targets.pyro.batching import FAILURES
from amortized.targets.pyro.program import Program
from amortized.targets.pyro.target import PyroTarget

POINTS = 64
"""Draws to compare at: the RMS of 64 normal numbers is good to a tenth."""

PARTS = (1, 8)
"""Where the draws are cut into parts: the time of one part predicts that of the next."""

SECONDS = 1.0
"""Time that one part may take: the figure seldom decides a diagnosis."""


def rounding_rms(target: PyroTarget, x: Tensor) -> float | str:
    """RMS of ``log R(x)`` in the model's dtype less ``log R(x)`` in float64, less their mean difference, in nats.

    The mean difference moves log Z and no draw. Draws at which either density is zero are left out.

    Args:
        target: The density.
        x: Draws ``(N, D)``; the first 64 are compared.

    Returns:
        The RMS; or a sentence on why there is none: the model does not run in float64, or would take over 1 s.

    >>> import pyro, pyro.distributions as dist
    >>> def model():
    ...     x = pyro.sample("x", dist.Normal(0.0, 1.0))
    ...     pyro.factor("cancelled", (x + 1e6) - 1e6 - x)
    >>> draws = torch.randn(64, 1, generator=torch.Generator().manual_seed(0))
    >>> 0.005 < rounding_rms(PyroTarget(model), draws) < 0.05
    True
    """
    if target.dtype == torch.float64:
        return 0.0
    differences, pace = [], 0.0
    try:
        exact = _in_float64(target)

        def differing(part: Tensor) -> Tensor:
            return target.log_prob(part).double() - exact(part.double())

        for part in filter(len, x[:POINTS].tensor_split(PARTS)):
            if len(part) * pace > SECONDS:
                return f"not compared with float64: it would take {POINTS * pace:.0f} s"
            difference, seconds = timed(partial(differing, part))
            differences.append(difference)
            pace = seconds / len(part)
    except FAILURES as error:
        return f"not compared with float64: {type(error).__name__} there"
    difference = torch.cat(differences)
    difference = difference[difference.isfinite()]
    if not len(difference):
        return "not compared with float64: no draw has a density there"
    return float((difference - difference.mean()).square().mean().sqrt())


def _in_float64(target: PyroTarget) -> Callable[[Tensor], Tensor]:
    """``log R`` of the same model run in float64: arguments, parameters and the default dtype."""
    program = target.program
    args, kwargs, parameters = _double((program.args, program.kwargs, program.structure.parameters))
    model = program.model
    if isinstance(model, torch.nn.Module):
        model = copy.deepcopy(model).double()
    structure = replace(program.structure, dtype=torch.float64, parameters=parameters)
    batching = target.batched(Program(model, args, kwargs, structure))

    def log_prob(x: Tensor) -> Tensor:
        with default_dtype(torch.float64), torch.no_grad():
            # as many particles as the target holds together: 56 of 100,000 rows took 0.7 GB
            return torch.cat([batching.log_prob(part) for part in x.split(target.together)])

    return log_prob


def _double(values: Any) -> Any:
    return pytree.tree_map_only(Tensor, lambda t: t.double() if t.is_floating_point() else t, values)
