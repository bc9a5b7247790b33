"""A search for posterior mass beyond the ends of a sampler's draws, as along a curved valley."""

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
"""Draws that a mixture is fitted to; their number sets the error of "nothing found", 2 %."""

STARTS, ITERATIONS = 128, 20
"""Starts of each kind, and iterations of each run: enough to reach a valley, too few to follow it to its optimum."""

REACHES = (0.5, 1.0, 2.0, 4.0)
"""How far beyond a draw a run starts, in standard deviations of the draws."""

COMPONENTS = (1, 2, 4, 8, 16)
"""Sizes of the mixture that is tried on a valley, which needs more Gaussians than a mode."""

UNSETTLED = "not settled: the importance sampling has too few effective draws"
"""What is said if something was found whose share of the mass is unknown."""

CHAINS, MOVES, NUM_STEPS = 256, 20, 5
"""Chains that settle in what was found: they only have to reach the valley's floor, not to mix along it."""

CALLS = 150_000
"""Density calls, roughly: 50,000 of the chains and up to 100,000 of the optimisation runs."""


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

    A sampler that covers half of a curved valley has even weights, and chains from its draws stay there for long. So
    short optimisation runs start beyond the draws, and every point they visit is looked at. Short chains start from
    the points that a mixture of the draws does not explain. Importance sampling then weighs what the chains found.

    Args:
        white: the target, in coordinates in which the draws have a std of about 1.
        draws: ``(N, D)``, of equal weight, in these coordinates.
        log_weights: log weights of backward paths from points ``(N, D)`` with their log R ``(N,)``, in nats.
        log_evidence: the sampler's own log Z in nats.
        generator: the source of randomness.
        stop: asked between the stages.

    Returns:
        The share with its standard error; a text if mass was found whose share is unknown; None if ``stop()`` was true
        first.
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
    mixture = fit_mixture(draws, generator).mixture.widened((1.0, 1.5), (0.9, 0.1))
    lowest = float(exact.log_prob(draws).min())
    unexplained = (value - mixture.log_prob(visited) - log_evidence > LARGE_WEIGHT) & (value >= lowest)
    if int(unexplained.sum()) < FEWEST:
        return nothing
    x = visited[unexplained]
    x = _settled(exact, x[torch.randperm(len(x), generator=generator, device=x.device)[:CHAINS]], generator)
    if stop():
        return None
    unseen = unseen_by(log_weights, log_evidence, white.dtype)
    rows = unseen(x, exact.log_prob(x).double())
    if int(rows.sum()) < FEWEST:
        return nothing
    return unseen_mass(exact, x[rows], unseen, log_evidence, generator, COMPONENTS) or UNSETTLED


def _starts(draws: Tensor, generator: Generator | None) -> Tensor:
    """Points beyond the farthest draws and beyond random ones: moved at random, and away from the centre."""
    far = draws[draws.square().sum(1).argsort(descending=True)[:STARTS]]
    some = draws[torch.randperm(len(draws), generator=generator, device=draws.device)[:STARTS]]
    base = torch.cat([far, some])
    reach = torch.tensor(REACHES, dtype=draws.dtype, device=draws.device).repeat(len(base))[: len(base), None]
    noise = torch.randn(base.shape, generator=generator, dtype=draws.dtype, device=draws.device)
    return torch.cat([base + reach * noise, base * (1 + reach / 2)])


def _visited(target: WhitenedTarget, starts: Tensor, stop: Callable[[], bool]) -> tuple[Tensor, Tensor]:
    """All points that the optimisation runs visit, ``(N, D)``, and their log R."""
    seen: list[tuple[Tensor, Tensor]] = []

    def watched(x: Tensor) -> tuple[Tensor, Tensor]:
        value, score = target.log_prob_and_score(x)
        seen.append((x, value))
        return value, score

    ascend_lbfgs(watched, starts, iterations=ITERATIONS, stop=stop)
    x, value = (torch.cat(parts) for parts in zip(*seen, strict=True))
    return x, value


def _settled(target: WhitenedTarget, x: Tensor, generator: Generator | None) -> Tensor:
    """Ends of short chains. They only propose where to look, so their step size may adapt all the way."""
    identity = torch.ones_like(x[0])
    density, state = target.log_prob_and_score, hmc.init(target.log_prob_and_score, x)
    step_size = torch.tensor(0.1, dtype=x.dtype, device=x.device)
    return hmc.run(density, state, 2 * MOVES, step_size, identity, NUM_STEPS, generator)[0].x
