"""Draws taken from chains."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import torch

from amortized._types import Generator, Tensor
from amortized.diagnostics.chain_check import checked
from amortized.mcmc.convergence import bulk_ess, rank_normalized_rhat
from amortized.mcmc.many_chains import Chains
from amortized.targets.base import Target

MORE = 50
"""Draws of each chain between two looks at R-hat."""


def finished(chains: Chains, target: Target, seconds: float, generator: Generator) -> Chains:
    """The chains after as many more moves as they need to agree, or as there are seconds for.

    For every two new draws of a chain its oldest one is dropped: chains that had not arrived forget how they came.
    """
    until = time.perf_counter() + seconds
    while not checked(chains).agrees and time.perf_counter() < until:
        longer = chains.continued(target, MORE, generator)
        draws, log_prob = longer.draws[:, MORE // 2 :], longer.log_prob[:, MORE // 2 :]
        chains = replace(longer, draws=draws, log_prob=log_prob, rhat=rank_normalized_rhat(draws), ess=bulk_ess(draws))
    return chains


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
