"""Search by particles annealed from a wide Gaussian, whatever is remembered already."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.behaviours.searches.base import Found, Search
from amortized.mcmc import tempered_smc
from amortized.mixtures.gaussian import GaussianMixture
from amortized.targets.base import Target


class AnnealedSearch(Search):
    """Draws of ``N(0, scale² I)`` carried to the target by tempered sequential Monte Carlo: ends ≈ exact draws.

    It reads no remembered end. So it finds modes that the buffer misses, and weighs them as the target does. A
    temperature costs up to 50 target calls a particle. arXiv cond-mat/9803008; Del Moral et al. (2006), JRSS B 68.

    Args:
        scale: std of the first particles, in units of x; it must reach every mode.
        ess_fraction: effective sample size after a temperature, as a share of the particles; a larger one spaces the
            temperatures more finely.
    """

    needs_starts = False

    def __init__(self, scale: float = 3.0, ess_fraction: float = 0.7):
        if not scale > 0:
            raise ValueError(f"scale={scale}: the width of the first particles, in units of x; write scale=3.0")
        if not 0 < ess_fraction < 1:
            raise ValueError(f"ess_fraction={ess_fraction}: write a share between 0 and 1, as ess_fraction=0.7")
        self.scale = scale
        self.ess_fraction = ess_fraction

    def __call__(self, target: Target, starts: Tensor, generator: Generator | None = None) -> Found:
        particles, dim = starts.shape
        wide = GaussianMixture(
            starts.new_ones(1), starts.new_zeros(1, dim), self.scale * torch.eye(dim).to(starts)[None]
        )
        result = tempered_smc.run(target, wide, particles, generator, self.ess_fraction)
        return Found(result.state.x, result.state.log_prob, result.acceptance_rate)
