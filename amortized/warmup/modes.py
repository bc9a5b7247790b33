"""Climbs from dispersed starts, and the Gaussians at their tops."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.mixture import GaussianMixture
from amortized.mcmc.optimise import ascend, distinct, joined, sharpened
from amortized.mcmc.state import State
from amortized.targets.base import Target
from amortized.targets.whitening import WhitenedTarget

START_SCALES = (1.0, 3.0, 10.0, 30.0)
UNBOUNDED = 1e12


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


def refuse_improper(highest: float) -> None:
    """Raises ValueError where a climb went higher than any proper posterior in practice."""
    if highest > UNBOUNDED:
        raise ValueError(
            f"the log density climbs to {highest:.2g} and on: the posterior looks improper; "
            "give every site a proper prior, or data that tie it down"
        )


def find_modes(
    target: Target, count: int, generator: Generator | None, stop: Callable[[], bool]
) -> tuple[GaussianMixture, State]:
    """Gaussians at the modes that ``count`` dispersed starts climb to, weighted by tempered evidence; the tops."""
    origin = torch.zeros(target.dim, dtype=torch.float64, device=target.device)
    identity = torch.eye(target.dim, dtype=torch.float64, device=target.device)
    plain = WhitenedTarget(target, origin, identity, dtype=torch.float64).log_prob_and_score
    state, best, passed = ascend(plain, starts(target, count, generator), generator, stop=stop)
    local = sharpened(plain, best, generator)
    local = joined(local, passed)
    local = local.take(distinct(local))
    if local.elbo.numel() > 0:
        refuse_improper(float(local.elbo[0]))
    if local.elbo.numel() == 0:
        top = state.log_prob.argmax()
        return GaussianMixture(torch.ones_like(origin[:1]), state.x[top][None], identity[None]), state
    local = local.take((local.elbo > local.elbo[0] - (15 + 2 * target.dim)).nonzero()[:32, 0])
    weights = (local.elbo / math.sqrt(target.dim)).softmax(0)
    return GaussianMixture(weights, local.mean, local.scale_tril), state
