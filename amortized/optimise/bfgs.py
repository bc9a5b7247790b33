"""Batched BFGS ascent from many starts, and the best Gaussian met on the way from each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import LogDensityAndScore, State, init
from amortized.optimise.gaussians import LocalGaussians, concatenated, local_gaussians

LOOKS = 17
"""Points of a path at which a Gaussian is tried, evenly in the logarithm of the iteration: most changes come early."""

CONVERGED = 1e-7
"""Nats that a Newton step would still gain where a run ends: far below what a bound of eight draws can tell."""

RISE, FLATNESS = 1e-4, 0.9
"""Constants of the weak Wolfe conditions, as in Nocedal and Wright (2006), section 3.1."""

POSITIVE = 1e-12
"""Cosine of move and change of score above which curvature counts as positive in double precision."""


class Ascent(NamedTuple):
    """What the runs found.

    Args:
        state: their ends, ``(S, D)``.
        best: the Gaussian with the highest bound on the path from each start.
        good: the Gaussians of all paths within 10 nats of the best of all.
    """

    state: State
    best: LocalGaussians
    good: LocalGaussians


def line_search(
    log_prob_and_score: LogDensityAndScore, state: State, direction: Tensor, slope: Tensor, trials: int = 30
) -> tuple[State, Tensor]:
    """Points with the weak Wolfe conditions along each direction, and whether there was a rise: ``(state, found)``.

    By bracketing and bisection: Lewis and Overton (2013), Mathematical Programming 141.
    """
    low, high, length = torch.zeros_like(slope), torch.full_like(slope, torch.inf), torch.ones_like(slope)
    best, found = State(*(field.clone() for field in state)), torch.zeros_like(slope, dtype=torch.bool)
    open_rows = torch.arange(slope.shape[0], device=slope.device)
    for _ in range(trials):
        x = state.x[open_rows] + length[open_rows, None] * direction[open_rows]
        value, score = log_prob_and_score(x)
        gain = value - state.log_prob[open_rows]
        risen = gain >= RISE * length[open_rows] * slope[open_rows]
        flattened = (score * direction[open_rows]).sum(-1) <= FLATNESS * slope[open_rows]
        better = open_rows[risen]
        best.x[better], best.log_prob[better], best.score[better] = x[risen], value[risen], score[risen]
        found[better] = True
        high[open_rows[~risen]] = length[open_rows[~risen]]
        low[better] = length[better]
        open_rows = open_rows[~(risen & flattened)]
        if open_rows.numel() == 0:
            break
        bracketed = high[open_rows].isfinite()
        length[open_rows] = torch.where(bracketed, 0.5 * (low + high)[open_rows], 2 * length[open_rows])
    return best, found


def _updated(inverse: Tensor, move: Tensor, fall: Tensor, first: bool) -> Tensor:
    """The BFGS update of the inverse Hessian of −log R; rows without positive curvature stay as they are."""
    curvature = (move * fall).sum(-1)
    usable = curvature > POSITIVE * move.norm(dim=-1) * fall.norm(dim=-1)
    rho = 1 / torch.where(usable, curvature, 1.0)
    if first:
        scale = curvature / fall.square().sum(-1).clamp(min=1e-300)
        identity = torch.eye(move.shape[1], dtype=move.dtype, device=move.device)
        inverse = torch.where(usable[:, None, None], scale[:, None, None] * identity, inverse)
    image = (inverse @ fall[:, :, None])[..., 0]
    cross = move[:, :, None] * image[:, None, :]
    outer = move[:, :, None] * move[:, None, :]
    quadratic = (rho.square() * (fall * image).sum(-1) + rho)[:, None, None]
    updated = inverse - rho[:, None, None] * (cross + cross.mT) + quadratic * outer
    return torch.where(usable[:, None, None], updated, inverse)


def _newton_step(inverse: Tensor, score: Tensor) -> Tensor:
    return (inverse @ score[:, :, None])[..., 0]


def _assign(record: State | LocalGaussians, rows: Tensor, values: State | LocalGaussians) -> None:
    for field, value in zip(record, values, strict=True):
        field[rows] = value


def _steepest(score: Tensor, length: Tensor) -> Tensor:
    """Multiples ``(S, D, D)`` of the identity with which a step along ``score: (S, D)`` has ``length: (S,)``."""
    factor = length / score.norm(dim=-1).clamp(min=1e-300)
    return factor[:, None, None] * torch.eye(score.shape[1], dtype=score.dtype, device=score.device)


@torch.no_grad()
def ascend_bfgs(
    log_prob_and_score: LogDensityAndScore,
    start: Tensor,
    generator: Generator | None,
    iterations: int = 250,
    stop: Callable[[], bool] = lambda: False,
    first_step: Tensor | None = None,
) -> Ascent:
    """Maximizes log R by BFGS from every start, and tries Gaussians N(x + H g, H) on the way.

    H is the inverse Hessian of −log R that BFGS knows at x, g the score. At about 17 points of a path the Gaussian gets
    a bound from eight draws. A run ends where a Newton step would gain ``gᵀ H g / 2`` < 1e-7 nats, or where no step
    rises. Zhang, Carpenter, Gelman and Vehtari (2022), arXiv 2108.03782.

    Args:
        log_prob_and_score: log R and its score, ``(B, D) -> (B,), (B, D)``.
        start: ``(S, D)``.
        generator: source of randomness, for the bounds.
        iterations: most of a run; enough for stds from 0.01 to 100 in 50 dimensions.
        stop: asked before each iteration.
        first_step: length of the first trial step from each start, ``(S,)``; 1 by default.

    >>> bowl = lambda x: (-0.5 * (x - 3).square().sum(-1), 3 - x)
    >>> found = ascend_bfgs(bowl, torch.zeros(2, 1, dtype=torch.float64), torch.Generator().manual_seed(0))
    >>> found.state.x.flatten().tolist(), round(float(found.best.elbo[0]), 4)
    ([3.0, 3.0], 0.9189)
    """
    state = init(log_prob_and_score, start.clone())
    inverse = _steepest(state.score, torch.ones_like(state.log_prob) if first_step is None else first_step)
    best = LocalGaussians(start.clone(), inverse.clone(), torch.full_like(state.log_prob, -torch.inf))
    active = (state.log_prob > -torch.inf).nonzero()[:, 0]
    looks = {int(look) for look in torch.logspace(math.log10(3), math.log10(iterations), LOOKS)} | {iterations}
    tried: list[LocalGaussians] = [best]
    can_restart = torch.ones_like(state.log_prob, dtype=torch.bool)
    for iteration in range(1, iterations + 1):
        if active.numel() == 0 or stop():
            break
        here = State(*(field[active] for field in state))
        direction = _newton_step(inverse[active], here.score)
        there, found = line_search(log_prob_and_score, here, direction, (direction * here.score).sum(-1))
        inverse[active] = _updated(inverse[active], there.x - here.x, here.score - there.score, iteration == 1)
        _assign(state, active, there)
        decrement = 0.5 * (_newton_step(inverse[active], there.score) * there.score).sum(-1)
        going = found & (decrement > CONVERGED)
        look = active if iteration in looks else active[~going]
        if look.numel():
            mean = state.x[look] + _newton_step(inverse[look], state.score[look])
            seen = local_gaussians(log_prob_and_score, mean, inverse[look], generator)
            tried.append(seen.near(best))
            _assign(best, look, best.take(look).better_of(seen))
        # a direction that does not rise may come from a wrong H: one restart along the score
        restart = active[~found & can_restart[active]]
        can_restart[active] = found
        inverse[restart] = _steepest(state.score[restart], torch.ones_like(state.log_prob[restart]))
        active = torch.cat([active[going], restart])
    return Ascent(state, best, concatenated(*tried).near(best))
