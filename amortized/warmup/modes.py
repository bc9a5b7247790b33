"""Optimisation runs from starts and from points that no known mode explains, and the Gaussians where they end."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import LogDensityAndScore, State
from amortized.mixtures.gaussian import GaussianMixture
from amortized.optimise.bfgs import ascend_bfgs
from amortized.optimise.gaussians import LocalGaussians, concatenated, distinct, refine
from amortized.targets.base import Target
from amortized.warmup.screening import Screening, best_of_modes

UNBOUNDED = 1e12
"""Nats that no proper posterior reaches: 100 million rows with 10,000 nats each."""

MAX_MODES = 32
"""Gaussians that go on, the best first: as many as a mixture that is fitted to draws has at most."""

LEFT_OUT, LEFT_OUT_A_DIMENSION = 15, 2
"""A Gaussian is left out if its bound is ``15 + 2 D`` nats or more below the best one. The bounds are lower bounds of
the log mass. They are looser in more dimensions, hence the second number."""

FIRST_STEP = 0.05
"""Part of the way from a screened point to the nearest known mode: a longer first step can leave a narrow basin."""


class Improper(ValueError):
    """A density that rises without end: no posterior."""


def refuse_improper(highest: float) -> None:
    """Raises ``Improper`` where a run rose higher than any proper posterior in practice."""
    if highest > UNBOUNDED:
        raise Improper(
            f"the log density rises to {highest:.2g} and on: the posterior looks improper; "
            "give every site a proper prior, or data that tie it down"
        )


def in_float64(target: Target) -> LogDensityAndScore:
    """The density and the score of a target as functions of float64 points.

    A float32 target is still evaluated in float32. Sums and differences of its values are then float64.
    """

    def density(x: Tensor) -> tuple[Tensor, Tensor]:
        value, score = target.log_prob_and_score(x.to(target.dtype))
        return value.double(), score.double()

    return density


def find_modes(
    target: Target,
    starts: Tensor,
    screening: Screening,
    generator: Generator | None,
    stop: Callable[[], bool],
) -> tuple[GaussianMixture, State]:
    """Gaussians at the modes, weighted by a flattened estimate of their masses, and the ends of all runs.

    Runs start from given points, then from points of the screening that the modes so far do not explain. This is
    repeated, from among all modes now known, until it finds no more modes.

    Args:
        target: the density.
        starts: where the first runs start, ``(S, D)``.
        screening: looks for points that the modes so far do not explain.
        generator: source of randomness.
        stop: asked between and within the stages.
    """
    density = in_float64(target)
    state, local = _optimised(density, starts, torch.ones_like(starts[:, 0]), generator, stop)
    if local.elbo.numel() == 0:
        highest = state.x[state.log_prob.argmax()][None]
        identity = torch.eye(target.dim, dtype=torch.float64, device=target.device)
        return GaussianMixture(torch.ones_like(highest[:, 0]), highest, identity[None]), state
    local, known = _relevant(local), 0
    while not stop():
        best = best_of_modes(density, local)
        if len(best) <= known and not (screening.few_calls and screening.cut):
            break
        points = screening.points(len(best), starts)
        if points == 0:
            break
        known = max(known, len(best))
        found = screening.run(local, best, points, stop)
        if len(found.x) > 0:
            ends, other = _optimised(density, found.x, FIRST_STEP * found.gap, generator, stop)
            state = State(*(torch.cat(pair) for pair in zip(state, ends, strict=True)))
            local = _relevant(concatenated(local, other))
    # flattened by √D, since bounds of wrong shapes are off by more in more dimensions: tempering sets the weights
    weights = (local.elbo / math.sqrt(target.dim)).softmax(0)
    return GaussianMixture(weights, local.mean, local.scale_tril), state


def _optimised(
    density: LogDensityAndScore,
    starts: Tensor,
    steps: Tensor,
    generator: Generator | None,
    stop: Callable[[], bool],
) -> tuple[State, LocalGaussians]:
    """Ends of runs from ``starts: (S, D)``, and distinct Gaussians of their paths. First steps are ``(S,)`` long."""
    found = ascend_bfgs(density, starts, generator, stop=stop, first_step=steps)
    local = concatenated(refine(density, found.best, generator, stop=stop), found.good)
    local = local.take(distinct(local))
    if local.elbo.numel() > 0:
        refuse_improper(float(local.elbo[0]))
    return found.state, local


def _relevant(local: LocalGaussians) -> LocalGaussians:
    """The distinct Gaussians, best first, at most 32, without those of negligible mass."""
    local = local.take(distinct(local))
    least = local.elbo[0] - (LEFT_OUT + LEFT_OUT_A_DIMENSION * local.mean.shape[1])
    return local.take((local.elbo > least).nonzero()[:MAX_MODES, 0])
