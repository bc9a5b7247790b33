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
    """``count`` draws ``(count, D)``, evenly along the chains and one chain after the other, and of how many chains.

    They are equally many of as many chains as divide ``count``. Where those are too short they are spread over all
    chains, and count as one.
    """
    most, length, dim = chains.draws.shape
    number = next((number for number in range(most, 0, -1) if count % number == 0 and count <= number * length), 0)
    pool = chains.draws[:number] if number else chains.draws.reshape(1, most * length, dim)
    rows = torch.linspace(0, pool.shape[1] - 1, count // len(pool)).round().long()
    return pool[:, rows.to(pool.device)].flatten(0, 1), len(pool)
