"""Shape letters and aliases used in every signature.

K steps of a path, B paths (or particles), D latent dimension, C context dimension.
Time comes first: states ``(K+1, B, D)``, per-step log densities ``(K, B)``, losses ``(B,)``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import nn

Tensor = torch.Tensor
Generator = torch.Generator
Sites = dict[str, Tensor]
LogDensity = Callable[[Tensor], Tensor]


class Belief(NamedTuple):
    """What a reference says of a path's end, given its present state: mean and deviation of ``x_K``, ``(..., D)``."""

    mean: Tensor
    deviation: Tensor


class Control(NamedTuple):
    """What a policy says about the path's end, given its present state; zero means the reference process.

    ``shift: (..., D)``: E[x_K | x_k] minus its reference value, in units of the reference's deviation of ``x_K``.
    ``log_variance: (..., D)``: log of Var[x_K | x_k] over its reference value; a float 0 where it is not learned.
    """

    shift: Tensor
    log_variance: Tensor | float


class TrainingStep(NamedTuple):
    """What a callback sees: the optimiser step's number (from 1), how many are planned, the loss, the averaged parts
    ``{"process": …, "policy": …}``, and how many steps so far left the weights alone because the gradient was not
    finite."""

    number: int
    planned: int
    loss: float
    parts: nn.ModuleDict
    skipped: int = 0


Callback = Callable[[TrainingStep], bool]
"""Called after every optimiser step; True stops the run."""
