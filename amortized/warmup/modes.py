"""Climbs from dispersed starts and from points that no known mode explains, and the Gaussians at their tops."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import LogDensityAndScore, State
from amortized.mixtures.gaussian import GaussianMixture
from amortized.optimise.bfgs import LocalGaussians, ascend, distinct, joined, sharpened
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Target
from amortized.warmup.screening import Screening, separate

START_SCALES = (1.0, 3.0, 10.0, 30.0)
UNBOUNDED = 1e12
MAX_MODES = 32
FIRST_STEP = 0.05
"""Of the way from a screened point to the nearest known mode: a longer first step can leave a narrow mode's basin."""


def starts(target: Target, count: int, generator: Generator | None) -> Tensor:
    """Points of finite density: N(0, s²) with s from START_SCALES in turn, halved for those that are not finite."""
    scale = torch.tensor(START_SCALES, dtype=torch.float64, device=target.device).repeat(count)[:count, None]
    x = torch.zeros(count, target.dim, dtype=torch.float64, device=target.device)
    missing = torch.arange(count, device=target.device)
    for halving in range(12):
        noise = torch.randn(missing.numel(), target.dim, generator=generator, dtype=torch.float64, device=target.device)
        x[missing] = noise * scale[missing] * 0.5**halving
        finite = target.log_prob(x[missing].to(target.dtype)) > -torch.inf
        missing = missing[~finite]
        if missing.numel() == 0:
            break
    kept = torch.ones(count, dtype=torch.bool, device=target.device)
    kept[missing] = False
    if not bool(kept.any()):
        raise ValueError(
            f"the log density is -inf or NaN at all {12 * count} starting points tried, with standard deviations from "
            f"{START_SCALES[-1]} down to {START_SCALES[0] / 2**11:.0e} around the origin of the unconstrained space. "
            "Check the model at one point by hand: data outside the support of the likelihood, NaN in the data, "
            "or a scale that is zero are the usual causes"
        )
    return x[kept]


class Improper(ValueError):
    """A density that climbs without end: no posterior."""


def refuse_improper(highest: float) -> None:
    """Raises ``Improper`` where a climb went higher than any proper posterior in practice."""
    if highest > UNBOUNDED:
        raise Improper(
            f"the log density climbs to {highest:.2g} and on: the posterior looks improper; "
            "give every site a proper prior, or data that tie it down"
        )


def find_modes(
    target: Target,
    first: Tensor,
    screening: Screening,
    generator: Generator | None,
    stop: Callable[[], bool],
) -> tuple[GaussianMixture, State]:
    """Gaussians at the modes, weighted by a flattened estimate of their masses, and the tops of all climbs.

    Climbs start from ``first: (S, D)``, then from points of the ``screening`` that the modes so far do not explain. It
    is repeated, with fresh points from among all modes now known, until it finds no more of them.
    """
    origin = torch.zeros(target.dim, dtype=torch.float64, device=target.device)
    identity = torch.eye(target.dim, dtype=torch.float64, device=target.device)
    plain = WhitenedTarget(target, origin, identity, dtype=torch.float64).log_prob_and_score
    state, local = _climbed(plain, first, torch.ones_like(first[:, 0]), generator, stop)
    if local.elbo.numel() == 0:
        top = state.log_prob.argmax()
        return GaussianMixture(torch.ones_like(origin[:1]), state.x[top][None], identity[None]), state
    local, looked_from = _relevant(local), 0
    while not stop():
        modes = separate(plain, local)
        if len(modes) <= looked_from:
            break
        points = screening.points(len(modes), first)
        if points == 0:
            break
        looked_from = len(modes)
        found = screening.run(local, modes, points, stop)
        if len(found.x) > 0:
            tops, other = _climbed(plain, found.x, FIRST_STEP * found.gap, generator, stop)
            state = State(*(torch.cat(pair) for pair in zip(state, tops, strict=True)))
            local = _relevant(joined(local, other))
    weights = (local.elbo / math.sqrt(target.dim)).softmax(0)
    return GaussianMixture(weights, local.mean, local.scale_tril), state


def _climbed(
    density: LogDensityAndScore,
    first: Tensor,
    steps: Tensor,
    generator: Generator | None,
    stop: Callable[[], bool],
) -> tuple[State, LocalGaussians]:
    """The tops of climbs from ``first: (S, D)``, first steps ``(S,)`` long; Gaussians there and along the paths."""
    state, best, passed = ascend(density, first, generator, stop=stop, first_step=steps)
    local = joined(sharpened(density, best, generator), passed)
    local = local.take(distinct(local))
    if local.elbo.numel() > 0:
        refuse_improper(float(local.elbo[0]))
    return state, local


def _relevant(local: LocalGaussians) -> LocalGaussians:
    """The distinct Gaussians, best first, at most 32, without those of negligible mass."""
    local = local.take(distinct(local))
    return local.take((local.elbo > local.elbo[0] - (15 + 2 * local.mean.shape[1])).nonzero()[:MAX_MODES, 0])
