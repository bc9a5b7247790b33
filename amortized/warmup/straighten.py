"""Chains in coordinates that their own draws straighten, in rounds."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.many_chains import Chains, run_chains
from amortized.targets.base import Target
from amortized.targets.curved import CurvedTarget, triangular_map

CHAINS = 64
"""As many as those of the warm-up."""
EACH = 0.2
"""Part of the time for the chains of a round: draws that reach further make the next map better."""
LEAST = 0.5
"""Part of a round's time under which none starts: chains that hardly move agree on nothing."""
FITTED_TO = 10_000
"""Draws to which a map is fitted at the most; a choice."""


@dataclass(frozen=True, eq=False)
class Straightened:
    """What `straightened` found.

    Args:
        target: the density in straightened coordinates.
        chains: the last ones, in these coordinates.
        rounds: how many maps were fitted.
    """

    target: CurvedTarget
    chains: Chains
    rounds: int

    @property
    def draws(self) -> Tensor:
        """The chains' draws in the coordinates of the density that was given, ``(C · N, D)``."""
        return self.target.inside(self.chains.draws.flatten(0, 1))


def straightened(target: Target, draws: Tensor, seconds: float, generator: Generator | None) -> Straightened | None:
    """Fit a triangular map to draws, run chains in its coordinates, fit again to their draws, until the chains agree.

    Args:
        target: of D variables.
        draws: ``(N, D)``, right or not.
        seconds: of wall clock.
        generator: of all draws.

    Returns:
        The last round; None where the draws show neither a bend nor a funnel.

    >>> from amortized.targets.callable import DensityTarget
    >>> normal = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=2)
    >>> straightened(normal, torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)), 1.0, None) is None
    True
    """
    until = time.perf_counter() + seconds
    found, rounds = None, 0
    while found is None or not found.chains.converged:
        left = until - time.perf_counter()
        if found is not None and left < LEAST * EACH * seconds:
            break
        draws = draws[torch.randperm(len(draws), generator=generator, device=draws.device)[:FITTED_TO]]
        map = triangular_map(draws)
        if not map.curved:
            break
        rounds += 1
        straight = CurvedTarget(target, map)
        starts = map.inverse(draws[:CHAINS]).to(straight.dtype)
        found = Straightened(straight, run_chains(straight, starts, min(EACH * seconds, left), generator), rounds)
        draws = found.draws
    return found
