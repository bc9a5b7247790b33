"""Tempered runs that estimate the weights of the modes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc import tempered_smc
from amortized.mcmc.state import State
from amortized.mixtures.gaussian import GaussianMixture, mixture_of, safe_cholesky
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Target
from amortized.weights import systematic

WIDE = 2.0
"""Factor of the stds of the Gaussian around all modes: tempering narrows a base, and hardly ever widens it."""

MODES_WIDER = 1.2
"""Factor of the stds of the known modes, which Laplace's approximation makes rather too narrow."""


def wide_gaussian(mixture: GaussianMixture, scale: float) -> GaussianMixture:
    """One Gaussian with the mean and ``scale`` times the stds of the mixture, all components weighted alike."""
    count = mixture.weights.numel()
    equal = GaussianMixture(torch.full_like(mixture.weights, 1 / count), mixture.means, mixture.scale_trils)
    mean, covariance = equal.moments()
    return GaussianMixture(torch.ones_like(mean[:1]), mean[None], scale * safe_cholesky(covariance)[None])


class Tempering:
    """Tempered runs in coordinates ``scale_tril⁻¹ (x − shift)`` in which the modes have about unit spread.

    Args:
        target: the density of x.
        modes: Gaussians at the modes of the target.
        shift: ``(D,)``.
        scale_tril: ``(D, D)``, lower-triangular.
        generator: source of randomness.
        stop: asked at every temperature; a run ends unfinished where it says yes.
    """

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
        self.white = WhitenedTarget(target, shift, scale_tril, dtype=torch.float64)
        self.modes = self.mixture = modes.inverse_affine(shift, scale_tril)
        self.runs: list[tempered_smc.Result] = []

    @property
    def scale_tril(self) -> Tensor:
        """``(D, D)``, float64."""
        return self.white.scale_tril

    def temper(self, base: GaussianMixture, particles: int) -> tempered_smc.Result:
        """One run that starts from draws of ``base``. The run is added to ``runs``."""
        # jumps go along the axes of the target's own coordinates: wells often lie side by side along these
        mover = tempered_smc.Mover(self.scale_tril, self.generator, stop=self.stop)
        run = tempered_smc.run(self.white, base, particles, self.generator, mover=mover, stop=self.stop)
        self.runs.append(run)
        return run

    def two_runs(self, particles: int) -> tuple[tempered_smc.Result, tempered_smc.Result]:
        """A run from the known modes mixed with one wide Gaussian, and a run from the wide Gaussian alone.

        The first starts in narrow modes. The second knows only the mean and the covariance of the known modes, not the
        modes themselves. So their estimates of log Z agree only where both are right, or both miss the same modes.
        """
        wide = wide_gaussian(self.modes, WIDE)
        known = mixture_of([self.modes, self.mixture], [0.5, 0.5]).widened((MODES_WIDER,), (1.0,))
        return self.temper(mixture_of([wide, known], [0.5, 0.5]), particles), self.temper(wide, particles)

    def pool(self, draws: int) -> State:
        """Particles of all finished runs, resampled in proportion to the estimate of Z of each run.

        Where no run finished, none has an estimate, and all have equal shares.
        """
        finished = [run for run in self.runs if run.finished]
        runs = finished or self.runs
        share = [torch.full_like(run.state.log_prob, run.log_evidence.value if finished else 0.0) for run in runs]
        rows = systematic(torch.cat(share), draws, self.generator)
        return State(*(torch.cat(field)[rows] for field in zip(*(run.state for run in runs), strict=True)))
