"""Whether there is posterior mass where a sampler does not go: an independent search, seen through the sampler."""

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

PARTICLES, REDRAWN = 512, 1_024
LARGE_WEIGHT = 5.0
"""Nats above log Z from which a draw of the target counts as unseen by the sampler."""

CALLS_TO_EXPLORE = 40_000
"""Roughly, climbs and tempering together."""

SHARE = 0.02
"""Mass that may lie in places that the sampler hardly visits."""

FEWEST = 8
CONFIRMED = 50
WIDER = (1.0, 1.5, 3.0), (0.8, 0.15, 0.05)

LogWeights = Callable[[tuple[Tensor, Tensor]], Tensor]
Unseen = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Exploration:
    """What an independent tempered search found. ``unseen``: the share of the posterior's mass where the sampler hardly
    goes; ``log_evidence``: the search's own, in nats.
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
    """A search that climbed higher than any proper posterior reaches: ``said`` is what it met."""

    said: str

    def __str__(self) -> str:
        return self.said


@torch.no_grad()
def explore(
    white: WhitenedTarget,
    base: GaussianMixture,
    log_weights: LogWeights,
    log_evidence: float,
    generator: Generator | None,
    stop: Callable[[], bool] = lambda: False,
) -> Exploration | None:
    """Tempers 512 particles from ``base``, in the coordinates of ``white``, and noises them back through the sampler.

    ``log_weights``: of paths noised back from ends ``(N, D)`` with their log R ``(N,)``. Where a path's weight is over
    e⁵ times ``exp(log_evidence)``, the sampler's own Z, its end is unseen. Tempered particles need not have the right
    shares of the modes, so the mass of what is unseen is estimated again, without bias, by importance sampling from a
    mixture fitted to the unseen particles. None where ``stop()`` came first.
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
    return Exploration(mass or _tempered_mass(share, run, log_evidence), run.log_evidence)


def unseen_by(log_weights: LogWeights, log_evidence: float, dtype: torch.dtype) -> Unseen:
    """Tells which of ends ``(N, D)``, with their log R ``(N,)``, a sampler hardly visits: its weight there is large."""

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
    """``m / (1 + m)`` for ``m = E_g[R/g 1(unseen)] / Z``, g a mixture fitted to ``x``; None where few draws count."""
    proposal = fit_mixture(x, generator, components).mixture.widened(*WIDER)
    drawn = proposal.sample(REDRAWN, generator)
    log_target = target.log_prob(drawn).double()
    log_ratio = log_target - proposal.log_prob(drawn) - log_evidence
    log_ratio = torch.where(unseen(drawn, log_target), log_ratio, -torch.inf)
    if not bool((log_ratio > -torch.inf).any()) or float(effective_sample_size(log_ratio)) < CONFIRMED:
        return None
    ratio = log_ratio.exp()
    return _share(float(ratio.mean()), float(ratio.std()) / math.sqrt(REDRAWN))


def _tempered_mass(share: float, run: tempered_smc.Result, log_evidence: float) -> Estimate:
    """The same from the particles' own share and Z, as unsure as that many families make them."""
    mass = share * math.exp(min(run.log_evidence.value - log_evidence, 50.0))
    relative = math.hypot(run.log_evidence.std_error, math.sqrt((1 - share) / (share * max(run.families, 1))))
    return _share(mass, mass * relative)


def _share(mass: float, error: float) -> Estimate:
    return Estimate(mass / (1 + mass), error / (1 + mass) ** 2)
