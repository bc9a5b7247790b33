"""The warm-up's mixture, moved closer to the target by natural gradients."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import torch

from amortized._types import Generator, Tensor
from amortized.mixtures.gaussian import GaussianMixture
from amortized.optimise.natural_gradient import nearest_mixture
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Target
from amortized.warmup.modes import in_float64
from amortized.warmup.record import WarmUp
from amortized.weights import Estimate

STEPS = 1_000
"""Natural gradient steps: the rate falls with them, and 1,000 of 64 components take 2 million calls."""

BOUND_DRAWS = 4_096
"""Draws of a bound: its std error is then a sixty-fourth of the std of the log weights."""

NARROWER = 0.3
"""Variance of a new component over that of the old component around it: several share the old one's place."""

MISSING = math.log(100)
"""Nats of density that most draws of a component lose where the new mixture has left its mode."""

NEAR = 0.02
"""Nats from the bound to log Z within which the mixture is as good as it can be shown to be."""


@torch.no_grad()
def sharpened(
    warm: WarmUp, target: Target, components: int, seconds: float, generator: Generator | None = None
) -> WarmUp:
    """``warm`` with a mixture that is nearer to the target in KL(mixture ‖ target); draws, scale and log Z stay.

    The old components and new ones around random draws follow `nearest_mixture`. The old mixture stays

    - where its bound ``E[log R − log q]`` is within 0.02 nats of log Z,
    - where the new bound is not clearly higher,
    - where the new mixture misses a mode,
    - or where a product explains the draws better.

    ``status`` says which. Arenz et al., arXiv 2209.11533.

    Args:
        warm: a warm-up.
        target: its target.
        components: of the new mixture, unless the old one has more.
        seconds: wall clock for 1,000 steps; fewer are made where they take longer.
        generator: source of randomness.
    """
    if warm.product is not None:
        return replace(warm, status=f"{warm.status}; the product of one-dimensional mixtures stays as it is")
    began, calls = time.perf_counter(), target.calls
    white = WhitenedTarget(target, warm.shift, warm.scale_tril)
    old = warm.mixture.inverse_affine(warm.shift, warm.scale_tril)
    draws = white.whiten(warm.draws).double()
    before = bound(white, old, generator)
    if warm.log_evidence.value - before.value < NEAR:
        return replace(
            warm,
            status=f"{warm.status}; the mixture stays: its bound on log Z is {before}",
            target_calls=warm.target_calls + target.calls - calls,
            seconds=warm.seconds + time.perf_counter() - began,
        )

    initial = with_components(old, draws, components, generator)
    found = nearest_mixture(in_float64(white), initial, generator, STEPS, seconds=seconds)
    after = bound(white, found.mixture, generator)
    missing = missing_components(old, found.mixture, draws)
    better = after.value - before.value > 2 * math.hypot(before.std_error, after.std_error)
    outcome = f"natural gradients raised the mixture's bound on log Z from {before} to {after} in {found.steps} steps"
    if found.not_finite:
        outcome += f", {found.not_finite} draws without finite density"
    if missing:
        outcome += f"; not used: the draws of {missing} components have a hundredth of their density"
    if not better:
        outcome += "; not used: no clear gain"
    mixture = found.mixture.affine(warm.shift, warm.scale_tril) if better and not missing else warm.mixture
    return replace(
        warm,
        mixture=mixture,
        status=f"{warm.status}; {outcome}",
        target_calls=warm.target_calls + target.calls - calls,
        seconds=warm.seconds + time.perf_counter() - began,
    )


def with_components(
    mixture: GaussianMixture, draws: Tensor, components: int, generator: Generator | None
) -> GaussianMixture:
    """The mixture's components and ones around random draws ``(N, D)``, ``components`` in all, with equal weights.

    A new component has 0.3 of the covariance of the old component that explains its draw best.
    """
    missing = max(0, components - len(mixture.weights))
    means = draws[torch.randperm(len(draws), generator=generator, device=draws.device)[:missing]]
    owner = mixture.component_log_prob(means).argmax(0)
    means = torch.cat([mixture.means, means])
    factors = torch.cat([mixture.scale_trils, NARROWER**0.5 * mixture.scale_trils[owner]])
    return GaussianMixture(torch.full_like(means[:, 0], 1 / len(means)), means, factors)


def bound(target: Target, mixture: GaussianMixture, generator: Generator | None) -> Estimate:
    """``E[log R − log q] = log Z − KL(mixture ‖ target)`` in nats, the ELBO, over 4,096 draws of the mixture."""
    x = mixture.sample(BOUND_DRAWS, generator)
    log_weights = target.log_prob(x.to(target.dtype)).double() - mixture.log_prob(x)
    if not bool(log_weights.isfinite().all()):
        return Estimate(-math.inf, 0.0)
    return Estimate(float(log_weights.mean()), float(log_weights.std()) / BOUND_DRAWS**0.5)


def missing_components(old: GaussianMixture, new: GaussianMixture, draws: Tensor) -> int:
    """How many components of the old mixture have draws most of which are 100 times less dense under the new one."""
    owner = old.component_log_prob(draws).argmax(0)
    change = new.log_prob(draws) - old.log_prob(draws)
    return sum(float(change[owner == index].median()) < -MISSING for index in owner.unique().tolist())
