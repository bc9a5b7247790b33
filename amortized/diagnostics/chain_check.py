"""Whether draws of chains can be used: their agreement, their length, and chains that start at other optima."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.chain_record import FEWEST_DRAWS, MIXED, Chains
from amortized.mcmc.convergence import rank_normalized_rhat
from amortized.mixtures.covariance import significant_scale_tril
from amortized.targets.base import Target
from amortized.warmup.modes import Improper, find_modes
from amortized.warmup.rays import cube_rays
from amortized.warmup.run import MANY
from amortized.warmup.screening import Screening

ROUGH = 1.1
"""R-hat under which draws are usable: the old limit (Gelman and Rubin 1992). Means are then off by a tenth of a std."""

JOINED = 1.1
"""Largest R-hat of chains from other optima beside the draws: they are short, so that the limit is wider."""

OTHERS = 16
"""Chains from other optima."""

STARTS = 24
"""Optimisation runs of the search, from Cauchy points around the draws."""

SEARCH = 0.5
"""Part of the time for the optimisation runs; the chains take the rest."""

MOVES, FEWEST_MOVES = 100, 10
"""Of these chains; the first half is thrown away. And moves of the other half, at the least."""

TIMES = 10
"""Autocorrelation times of the judged chains that these chains last, if that is longer. In a horseshoe the time is 20
moves: after 50 chains from optima in necks were still on their way (R-hat 1.14, with draws that were right)."""


@dataclass(frozen=True)
class ChainCheck:
    """What was looked at in chains.

    Args:
        chains: how many.
        draws: of each chain.
        rhat: largest split R-hat over single chains, rank-normalised.
        ess: smallest effective sample size of a coordinate, of its ranks and of its 5 and 95 % quantiles.
        joined: R-hat of these chains beside chains from optima of an independent search; a text if nobody looked.
    """

    chains: int
    draws: int
    rhat: float
    ess: float
    joined: float | str = ""

    @property
    def holds(self) -> bool:
        """Whether the chains agree roughly with each other, and are long enough."""
        return self.rhat < ROUGH and self.ess > FEWEST_DRAWS

    @property
    def agrees(self) -> bool:
        """Whether the chains agree with each other, and are long enough."""
        return self.rhat < MIXED and self.ess > FEWEST_DRAWS

    def __str__(self) -> str:
        return f"{self.chains} chains of {self.draws} draws"


def checked(chains: Chains) -> ChainCheck:
    """The figures of chains that know of no other optimum yet."""
    number, length, _ = chains.draws.shape
    return ChainCheck(number, length, chains.rhat, chains.ess)


@torch.no_grad()
def joined(target: Target, chains: Chains, seconds: float, seed: int) -> float | str:
    """R-hat of the chains beside others that start at optima of an independent search.

    Optimisation runs start far from the draws, by another law than the warm-up's. Chains then start at their optima.
    Chains that stay at an optimum of their own have an R-hat far over 1. What the R-hat of the chains alone exceeds 1
    over as short a stretch is taken off.

    Args:
        target: the density.
        chains: whose draws are judged.
        seconds: for the search and the chains.
        seed: one that no fit has used.

    Returns:
        The largest R-hat of a coordinate; a text if there was no time, or too many dimensions.
    """
    if target.dim > MANY:
        return f"not looked at: {target.dim} dimensions, over {MANY}"
    began, generator = time.perf_counter(), torch.Generator(target.device).manual_seed(seed)

    def late() -> bool:
        return time.perf_counter() - began > SEARCH * seconds

    draws = chains.draws[:, :: max(1, chains.draws.shape[1] // 16)].flatten(0, 1).double()
    scale_tril = significant_scale_tril(draws)
    screening = Screening(target, cube_rays(draws, scale_tril, seed % 2**31), seconds, generator)
    try:
        modes, _ = find_modes(target, _far(draws.mean(0), scale_tril, generator), screening, generator, late)
    except Improper as error:
        return f"not looked at: {error}"
    number, length, _ = chains.draws.shape
    moves = min(max(MOVES, math.ceil(TIMES * number * length / chains.ess)), length)
    others = chains.kernel_moves(
        target,
        modes.sample(OTHERS, generator),
        moves * chains.thin,
        generator,
        lambda: time.perf_counter() - began > seconds,
    )[:, :: chains.thin]
    kept = others.shape[1] // 2
    if kept < FEWEST_MOVES:
        return f"not looked at: chains from other optima would take over {seconds:.0f} s"
    own, theirs = chains.draws[:, -kept:], others[:, -kept:]
    # over so short a stretch chains that mix slowly have an R-hat of their own
    return 1 + rank_normalized_rhat(torch.cat([own, theirs])) - rank_normalized_rhat(own)


def _far(centre: Tensor, scale_tril: Tensor, generator: Generator) -> Tensor:
    """Cauchy points around the draws, three times as wide."""
    noise = torch.randn(STARTS, len(centre), generator=generator, dtype=torch.float64, device=centre.device)
    wide = noise / torch.randn(STARTS, 1, generator=generator, dtype=torch.float64, device=centre.device)
    return centre + 3 * wide @ scale_tril.mT
