"""Draws taken from chains."""

from __future__ import annotations

import math

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.many_chains import Chains
from amortized.targets.base import Target


def extended(chains: Chains, target: Target, count: int, generator: Generator) -> Chains:
    """The chains, with as many more moves as ``count`` draws need."""
    number, length, _ = chains.draws.shape
    return chains.continued(target, max(0, math.ceil(count / number) - length), generator)


def taken(chains: Chains, count: int) -> tuple[Tensor, int]:
    """``count`` draws, evenly along equally many chains each: ``(count, D)``, one chain after the other, and how many.

    Draws of as many chains as divide ``count``.
    """
    most, length, _ = chains.draws.shape
    number = next(number for number in range(most, 0, -1) if count % number == 0 and count // number <= length)
    rows = torch.linspace(0, length - 1, count // number).round().long()
    return chains.draws[:number, rows.to(chains.draws.device)].flatten(0, 1), number
