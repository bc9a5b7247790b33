"""Batched quasi-Newton ascent that keeps a few vectors instead of a matrix, for many dimensions."""

from __future__ import annotations

from collections.abc import Callable

import torch

from amortized._types import Tensor
from amortized.mcmc.state import LogDensityAndScore, State, init
from amortized.optimise.bfgs import POSITIVE, line_search

LEAST_RISE = 1e-6
"""Nats by which some run must rise in an iteration for all to go on: a draw's log density is no more exact."""


def _direction(score: Tensor, moves: list[Tensor], falls: list[Tensor]) -> Tensor:
    """The inverse Hessian of −log R times the score, by two loops over ``moves`` and ``falls`` of the score."""
    pairs = list(zip(moves, falls, strict=True))
    usable = [(move * fall).sum(-1) > POSITIVE * move.norm(dim=-1) * fall.norm(dim=-1) for move, fall in pairs]
    inverse = [
        torch.where(good, 1 / torch.where(good, (move * fall).sum(-1), 1.0), 0.0)
        for good, (move, fall) in zip(usable, pairs, strict=True)
    ]
    direction, shares = score, []
    for move, fall, rho in reversed(list(zip(moves, falls, inverse, strict=True))):
        shares.append(rho * (move * direction).sum(-1))
        direction = direction - shares[-1][:, None] * fall
    curvature = (moves[-1] * falls[-1]).sum(-1) / falls[-1].square().sum(-1).clamp(min=1e-300)
    direction = direction * torch.where(usable[-1], curvature, 1.0)[:, None]
    for move, fall, rho, share in zip(moves, falls, inverse, reversed(shares), strict=True):
        direction = direction + (share - rho * (fall * direction).sum(-1))[:, None] * move
    return direction


@torch.no_grad()
def ascend_lbfgs(
    log_prob_and_score: LogDensityAndScore,
    start: Tensor,
    iterations: int = 200,
    memory: int = 12,
    stop: Callable[[], bool] = lambda: False,
) -> State:
    """Maximizes log R by L-BFGS from every start, and returns the ends of the runs.

    Liu and Nocedal (1989), Mathematical Programming 45.

    Args:
        log_prob_and_score: log R and its score, ``(B, D) -> (B,), (B, D)``.
        start: ``(S, D)``.
        iterations: most; the runs end before where none rises by over 1e-6 nats.
        memory: moves that stand for the Hessian: 2 ``memory`` vectors a start. Liu and Nocedal found 3 to 20 useful.
        stop: asked before each iteration.

    >>> bowl = lambda x: (-0.5 * (x - 3).square().sum(-1), 3 - x)
    >>> ascend_lbfgs(bowl, torch.zeros(2, 1, dtype=torch.float64)).x.flatten().tolist()
    [3.0, 3.0]
    """
    state = init(log_prob_and_score, start.clone())
    moves: list[Tensor] = []
    falls: list[Tensor] = []
    for _ in range(iterations):
        if stop():
            break
        if moves:
            direction = _direction(state.score, moves, falls)
        else:
            direction = state.score / state.score.norm(dim=-1, keepdim=True).clamp(min=1e-300)
        slope = (direction * state.score).sum(-1)
        uphill = slope > 0
        direction = torch.where(uphill[:, None], direction, state.score)
        slope = torch.where(uphill, slope, state.score.square().sum(-1))
        there, _ = line_search(log_prob_and_score, state, direction, slope)
        moves, falls = [*moves, there.x - state.x][-memory:], [*falls, state.score - there.score][-memory:]
        risen = float((there.log_prob - state.log_prob).max())
        state = there
        if risen < LEAST_RISE:
            break
    return state
