"""An independent search for posterior mass where a sampler does not go."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc import tempered_smc
from amortized.mixtures.gaussian import GaussianMixture, fit_mixture
from amortized.targets.affine import WhitenedTarget
from amortized.weights import Estimate, effective_sample_size

PARTICLES, PROPOSALS = 512, 1_024
"""Tempered particles, of which 2 % are ten, and proposals for the importance sampling of what they found."""

LARGE_WEIGHT = 5.0
"""Nats above log Z from which the sampler hardly visits a draw: it goes there e⁵ = 148 times too rarely."""

CALLS = 40_000
"""Density calls of the optimisation runs and the tempering together, roughly."""

SHARE = 0.02
"""Share of the mass that may lie where the sampler hardly goes."""

FEWEST = 8
"""Unseen points below which no mixture is fitted to them; a choice."""

CONFIRMED = 50
"""Effective proposals from which their mean is used: its relative error is then under 15 %."""

WIDENING = (1.0, 1.5, 3.0), (0.8, 0.15, 0.05)
"""Scales and shares of the mixture that proposes: a few wide proposals keep the weights of its tails small."""

LogWeights = Callable[[tuple[Tensor, Tensor]], Tensor]
Unseen = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class ModeSearch:
    """What an independent search for modes found.

    Args:
        unseen: share of the posterior's mass where the sampler hardly goes.
        log_evidence: log Z by the search's own tempering, in nats.
    """

    unseen: Estimate
    log_evidence: Estimate

    @property
    def found_more(self) -> bool:
        """Whether the unseen mass is over 2 % by more than two of its standard errors."""
        return self.unseen.value - 2 * self.unseen.std_error > SHARE

    def __str__(self) -> str:
        return f"{self.unseen.value:.1%} of the mass unseen, log Z {self.log_evidence}"


@dataclass(frozen=True)
class Unbounded:
    """A search that found a higher density than any proper posterior has; ``message`` says where."""

    message: str

    def __str__(self) -> str:
        return self.message


@torch.no_grad()
def search_modes(
    white: WhitenedTarget,
    base: GaussianMixture,
    log_weights: LogWeights,
    log_evidence: float,
    generator: Generator | None,
    stop: Callable[[], bool] = lambda: False,
) -> ModeSearch | None:
    """Temper 512 particles from ``base`` to the target, and ask which of them the sampler hardly visits.

    A particle is unseen if the weight of its backward path is over e⁵ times the sampler's own Z. Tempered particles
    need not have the right shares of the modes. So the mass of the unseen ones is estimated again, without bias, by
    importance sampling from a mixture that is fitted to them.

    Args:
        white: the target, in whitened coordinates.
        base: where the tempering starts, in these coordinates.
        log_weights: log weights of backward paths from points ``(N, D)`` with their log R ``(N,)``, in nats.
        log_evidence: the sampler's own log Z in nats.
        generator: the source of randomness.
        stop: asked between the stages.

    Returns:
        What was found; None if ``stop()`` was true first.
    """
    exact = WhitenedTarget(white.target, white.shift, white.scale_tril, dtype=torch.float64)
    mover = tempered_smc.Mover(white.scale_tril, generator)
    run = tempered_smc.run(exact, base, PARTICLES, generator, mover=mover, stop=stop)
    if not run.finished:
        return None

    unseen = unseen_by(log_weights, log_evidence, white.dtype)
    rows = unseen(run.state.x, run.state.log_prob)
    share = float(rows.double().mean())
    if int(rows.sum()) < FEWEST:
        mass = Estimate(share, math.sqrt(max(share, 1 / PARTICLES) / PARTICLES))
    else:
        mass = unseen_mass(exact, run.state.x[rows], unseen, log_evidence, generator)
    return ModeSearch(mass or _tempered_mass(share, run, log_evidence), run.log_evidence)


def unseen_by(log_weights: LogWeights, log_evidence: float, dtype: torch.dtype) -> Unseen:
    """A function of points ``(N, D)`` and their log R ``(N,)``: which of them the sampler hardly visits."""

    def unseen(x: Tensor, log_target: Tensor) -> Tensor:
        inside = log_target > -torch.inf
        if not bool(inside.any()):
            return inside
        weights = log_weights((x[inside].to(dtype), log_target[inside].double()))
        found = torch.zeros_like(inside)
        found[inside] = ~(weights - log_evidence <= LARGE_WEIGHT)
        return found

    return unseen


def unseen_mass(
    target: WhitenedTarget,
    x: Tensor,
    unseen: Unseen,
    log_evidence: float,
    generator: Generator | None,
    components: tuple[int, ...] = (1, 2, 4, 8),
) -> Estimate | None:
    """``m / (1 + m)`` with ``m = E_g[R/g 1(unseen)] / Z``: the share of the mass that is unseen.

    g is a mixture of at most ``max(components)`` Gaussians that is fitted to the unseen points ``x: (N, D)``.

    Returns:
        The share with its standard error; None if under 50 proposals are effective.
    """
    proposal = fit_mixture(x, generator, components).mixture.widened(*WIDENING)
    drawn = proposal.sample(PROPOSALS, generator)
    log_target = target.log_prob(drawn).double()
    log_ratio = log_target - proposal.log_prob(drawn) - log_evidence
    log_ratio = torch.where(unseen(drawn, log_target), log_ratio, -torch.inf)
    if not bool((log_ratio > -torch.inf).any()) or float(effective_sample_size(log_ratio)) < CONFIRMED:
        return None
    ratio = log_ratio.exp()
    return _share(float(ratio.mean()), float(ratio.std()) / math.sqrt(PROPOSALS))


def _tempered_mass(share: float, run: tempered_smc.Result, log_evidence: float) -> Estimate:
    """The share by the particles themselves; those of one family count as one, or the error would be too small."""
    mass = share * math.exp(min(run.log_evidence.value - log_evidence, 50.0))
    relative = math.hypot(run.log_evidence.std_error, math.sqrt((1 - share) / (share * max(run.families, 1))))
    return _share(mass, mass * relative)


def _share(mass: float, error: float) -> Estimate:
    return Estimate(mass / (1 + mass), error / (1 + mass) ** 2)
