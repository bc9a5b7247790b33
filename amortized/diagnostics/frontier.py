"""Whether the posterior goes on where a sampler's draws end: walks beyond the draws, seen through the sampler."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from amortized._types import Generator, Tensor
from amortized.diagnostics.mode_search import FEWEST, LARGE_WEIGHT, LogWeights, unseen_by, unseen_mass
from amortized.mcmc import hmc
from amortized.mixtures.gaussian import fit_mixture
from amortized.optimise.lbfgs import ascend_lbfgs
from amortized.targets.affine import WhitenedTarget
from amortized.weights import Estimate

DRAWS = 2_048
"""That a mixture is fitted to."""

STARTS, CLIMBED = 128, 20
"""Starts of each kind, and iterations of each climb: enough to fall into a valley, too few to follow it to its top."""

REACHES = (0.5, 1.0, 2.0, 4.0)
"""How far beyond a draw a climb starts, in standard deviations of the draws."""

UNSETTLED = "not settled: too few draws of the importance sampling count"

CHAINS, MOVES, LEAPFROGS = 256, 20, 5
CALLS = 150_000
"""Roughly: 50,000 of the chains, up to 100,000 of the climbs."""


@torch.no_grad()
def frontier(
    white: WhitenedTarget,
    draws: Tensor,
    log_weights: LogWeights,
    log_evidence: float,
    generator: Generator | None,
    stop: Callable[[], bool] = lambda: False,
) -> Estimate | str | None:
    """The share of the posterior's mass beyond the draws, where the sampler hardly goes.

    A sampler that ends half-way along a bent valley has even weights, and chains from its draws stay there for very
    long. So climbs of 20 iterations start beyond the draws, fall into what valley there is, and are watched on the way.
    From the visited points that a mixture fitted to the draws does not explain, short chains settle. What they show is
    weighed by importance sampling, so that places of high density and no mass count for nothing.

    Args:
        white: the target, in coordinates in which the draws have about unit spread.
        draws: ``(N, D)``, of equal weight, in these coordinates.
        log_weights: log weights of paths noised back from ends ``(N, D)`` with their log R ``(N,)``, in nats.
        log_evidence: the sampler's own log Z in nats.
        generator: the source of randomness.
        stop: asked between the stages.

    Returns:
        The share with its standard error; a word where something was found whose share is unknown, since too few draws
        of the importance sampling count; None where ``stop()`` came first.
    """
    exact = WhitenedTarget(white.target, white.shift, white.scale_tril, dtype=torch.float64)
    draws = draws[:DRAWS].double()
    nothing = Estimate(0.0, 1 / math.sqrt(DRAWS))
    starts = _starts(draws, generator)
    starts = starts[exact.log_prob(starts) > -torch.inf]
    if not len(starts):
        return nothing
    visited, value = _visited(exact, starts, stop)
    if stop():
        return None
    explained = fit_mixture(draws, generator).mixture.widened((1.0, 1.5), (0.9, 0.1))
    lowest = float(exact.log_prob(draws).min())
    strange = (value - explained.log_prob(visited) - log_evidence > LARGE_WEIGHT) & (value >= lowest)
    if int(strange.sum()) < FEWEST:
        return nothing
    x = visited[strange]
    x = x[torch.randperm(len(x), generator=generator, device=x.device)[:CHAINS]]
    x = _settled(exact, x, generator)
    if stop():
        return None
    unseen = unseen_by(log_weights, log_evidence, white.dtype)
    rows = unseen(x, exact.log_prob(x).double())
    if int(rows.sum()) < FEWEST:
        return nothing
    return unseen_mass(exact, x[rows], unseen, log_evidence, generator, (1, 2, 4, 8, 16)) or UNSETTLED


def _starts(draws: Tensor, generator: Generator | None) -> Tensor:
    """Points beyond the farthest draws and beyond any: moved at random, and away from the centre."""
    far = draws[draws.square().sum(1).argsort(descending=True)[:STARTS]]
    some = draws[torch.randperm(len(draws), generator=generator, device=draws.device)[:STARTS]]
    base = torch.cat([far, some])
    reach = torch.tensor(REACHES, dtype=draws.dtype, device=draws.device).repeat(len(base))[: len(base), None]
    noise = torch.randn(base.shape, generator=generator, dtype=draws.dtype, device=draws.device)
    return torch.cat([base + reach * noise, base * (1 + reach / 2)])


def _visited(target: WhitenedTarget, starts: Tensor, stop: Callable[[], bool]) -> tuple[Tensor, Tensor]:
    """All points at which climbs look, ``(N, D)``, and their log R."""
    seen: list[tuple[Tensor, Tensor]] = []

    def watched(x: Tensor) -> tuple[Tensor, Tensor]:
        value, score = target.log_prob_and_score(x)
        seen.append((x, value))
        return value, score

    ascend_lbfgs(watched, starts, iterations=CLIMBED, stop=stop)
    x, value = (torch.cat(parts) for parts in zip(*seen, strict=True))
    return x, value


def _settled(target: WhitenedTarget, x: Tensor, generator: Generator | None) -> Tensor:
    """Ends of short chains. They only propose where to look, so that their step may adapt on the way."""
    identity = torch.ones_like(x[0])
    density, state = target.log_prob_and_score, hmc.init(target.log_prob_and_score, x)
    step_size = torch.tensor(0.1, dtype=x.dtype, device=x.device)
    return hmc.run(density, state, 2 * MOVES, step_size, identity, LEAPFROGS, generator)[0].x
