"""Tempered runs that weigh the modes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc import tempered_smc
from amortized.mcmc.state import State
from amortized.mixtures.gaussian import GaussianMixture, join, safe_cholesky
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Target
from amortized.weights import systematic


def wide_gaussian(mixture: GaussianMixture, scale: float) -> GaussianMixture:
    """One Gaussian with the mixture's mean, its components counted alike, and ``scale`` times its spread."""
    count = mixture.weights.numel()
    equal = GaussianMixture(torch.full_like(mixture.weights, 1 / count), mixture.means, mixture.scale_trils)
    mean, covariance = equal.moments()
    return GaussianMixture(torch.ones_like(mean[:1]), mean[None], scale * safe_cholesky(covariance)[None])


class Search:
    """What is known so far, in coordinates ``scale_tril⁻¹ (x − shift)`` that make it round."""

    def __init__(
        self,
        target: Target,
        modes: GaussianMixture,
        shift: Tensor,
        scale_tril: Tensor,
        generator: Generator | None,
        stop: Callable[[], bool],
    ):
        self.generator = generator
        self.stop = stop
        self.shift, self.scale_tril = shift, scale_tril
        self.white = WhitenedTarget(target, self.shift, self.scale_tril, dtype=torch.float64)
        self.modes = self.mixture = modes.inverse_affine(self.shift, self.scale_tril)
        self.runs: list[tempered_smc.Result] = []

    def temper(self, base: GaussianMixture, particles: int) -> tempered_smc.Result:
        run = tempered_smc.run(self.white, base, particles, self.generator, axes=self.scale_tril, stop=self.stop)
        self.runs.append(run)
        return run

    def two_runs(self, particles: int) -> tuple[tempered_smc.Result, tempered_smc.Result]:
        """Tempering from what is known, widened, half mixed with one wide Gaussian; and from that Gaussian alone."""
        wide = wide_gaussian(self.modes, 2.0)
        known = join([self.modes, self.mixture], [0.5, 0.5]).widened((1.2,), (1.0,))
        return self.temper(join([wide, known], [0.5, 0.5]), particles), self.temper(wide, particles)

    def pool(self, draws: int) -> State:
        """Particles of all finished runs, drawn in proportion to each run's estimate of Z.

        Where none finished none has an estimate, and all have an equal share.
        """
        finished = [run for run in self.runs if run.finished]
        runs = finished or self.runs
        share = [torch.full_like(run.state.log_prob, run.log_evidence.value if finished else 0.0) for run in runs]
        rows = systematic(torch.cat(share), draws, self.generator)
        return State(*(torch.cat(field)[rows] for field in zip(*(run.state for run in runs), strict=True)))
