"""Draws taken from chains."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import torch

from amortized._types import Generator, Tensor
from amortized.diagnostics.chain_check import checked
from amortized.mcmc.chain_record import PLENTY, Chains
from amortized.mcmc.convergence import least_ess, rank_normalized_rhat
from amortized.targets.base import Target

MORE = 50
"""Draws of each chain between two looks at R-hat."""


def finished(chains: Chains, target: Target, seconds: float, generator: Generator) -> Chains:
    """The chains after as many more moves as they need to agree and to be long, or as there are seconds for.

    Until they agree the oldest draw of a chain is dropped for every two new ones: chains that had not arrived forget
    how they came.
    """
    until = time.perf_counter() + seconds

    def late() -> bool:
        return time.perf_counter() >= until

    while not checked(chains).agrees and not late():
        before = chains.draws.shape[1]
        longer = chains.continued(target, MORE, generator, late)
        dropped = (longer.draws.shape[1] - before) // 2
        draws, log_prob = longer.draws[:, dropped:], longer.log_prob[:, dropped:]
        chains = replace(longer, draws=draws, log_prob=log_prob, rhat=rank_normalized_rhat(draws), ess=least_ess(draws))
    return chains.lengthened(target, PLENTY, generator, late)


def extended(chains: Chains, target: Target, count: int, generator: Generator) -> Chains:
    """The chains, with as many more moves as ``count`` draws need."""
    number, length, _ = chains.draws.shape
    return chains.continued(target, max(0, math.ceil(count / number) - length), generator)


def taken(chains: Chains, count: int) -> tuple[Tensor, int]:
    """``count`` draws ``(count, D)``, evenly along the chains and one chain after the other, and of how many chains.

    They are equally many of as many chains as divide ``count``, if these are at least half of the chains. Else they are
    spread over all chains, and count as one: the draws of a few chains are worth a few chains' effective sample size.
    """
    most, length, dim = chains.draws.shape
    enough = range(most, (min(count, most) - 1) // 2, -1)
    number = next((number for number in enough if count % number == 0 and count <= number * length), 0)
    pool = chains.draws[:number] if number else chains.draws.reshape(1, most * length, dim)
    rows = torch.linspace(0, pool.shape[1] - 1, count // len(pool)).round().long()
    return pool[:, rows.to(pool.device)].flatten(0, 1), len(pool)
