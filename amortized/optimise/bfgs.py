"""Batched quasi-Newton ascent from many starts, and the best Gaussian met on the way of each."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import LogDensityAndScore, State, init
from amortized.mixtures.gaussian import safe_cholesky

NEAR = 10.0


class LocalGaussians(NamedTuple):
    """One Gaussian a start: ``mean: (S, D)``, ``scale_tril: (S, D, D)``, ``elbo: (S,)`` in nats (-inf: none)."""

    mean: Tensor
    scale_tril: Tensor
    elbo: Tensor

    def take(self, rows: Tensor) -> LocalGaussians:
        """The Gaussians at the given row numbers, in that order."""
        return LocalGaussians(self.mean[rows], self.scale_tril[rows], self.elbo[rows])

    def better_of(self, other: LocalGaussians) -> LocalGaussians:
        """Row by row, the one with the higher bound."""
        wins = other.elbo > self.elbo
        return LocalGaussians(
            torch.where(wins[:, None], other.mean, self.mean),
            torch.where(wins[:, None, None], other.scale_tril, self.scale_tril),
            torch.where(wins, other.elbo, self.elbo),
        )


def joined(*parts: LocalGaussians) -> LocalGaussians:
    """The Gaussians of all parts, one after the other."""
    return LocalGaussians(*(torch.cat(field) for field in zip(*parts, strict=True)))


def local_gaussians(
    log_prob: LogDensityAndScore, mean: Tensor, covariance: Tensor, generator: Generator | None, draws: int = 8
) -> LocalGaussians:
    """The Gaussians N(mean, covariance) with a Monte Carlo bound ``E_q[log R − log q]`` of ``draws`` draws each."""
    scale_tril = safe_cholesky(covariance)
    starts, dim = mean.shape
    noise = torch.randn(starts, draws, dim, generator=generator, dtype=mean.dtype, device=mean.device)
    x = mean[:, None] + noise @ scale_tril.mT
    value = log_prob(x.flatten(0, 1))[0].reshape(starts, draws)
    log_det = scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    log_q = -0.5 * noise.square().sum(-1) - log_det[:, None] - 0.5 * dim * math.log(2 * math.pi)
    elbo = (value - log_q).mean(-1)
    return LocalGaussians(mean, scale_tril, torch.where(elbo.isnan(), -torch.inf, elbo))


def line_search(
    log_prob_and_score: LogDensityAndScore, state: State, direction: Tensor, slope: Tensor, trials: int = 30
) -> tuple[State, Tensor]:
    """A point with the weak Wolfe conditions along each direction, by bracketing and bisection; ``(state, found)``."""
    low, high, length = torch.zeros_like(slope), torch.full_like(slope, torch.inf), torch.ones_like(slope)
    best, found = State(*(field.clone() for field in state)), torch.zeros_like(slope, dtype=torch.bool)
    open_rows = torch.arange(slope.shape[0], device=slope.device)
    for _ in range(trials):
        x = state.x[open_rows] + length[open_rows, None] * direction[open_rows]
        value, score = log_prob_and_score(x)
        gain = value - state.log_prob[open_rows]
        risen = gain >= 1e-4 * length[open_rows] * slope[open_rows]
        flattened = (score * direction[open_rows]).sum(-1) <= 0.9 * slope[open_rows]
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
    """The BFGS update of the inverse Hessian of −log R; rows without positive curvature keep theirs."""
    curvature = (move * fall).sum(-1)
    usable = curvature > 1e-12 * move.norm(dim=-1) * fall.norm(dim=-1)
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


def _steepest(score: Tensor, length: Tensor) -> Tensor:
    """Multiples ``(S, D, D)`` of the identity with which a step along the ``score: (S, D)`` is so long."""
    factor = length / score.norm(dim=-1).clamp(min=1e-300)
    return factor[:, None, None] * torch.eye(score.shape[1], dtype=score.dtype, device=score.device)


@torch.no_grad()
def ascend(
    log_prob_and_score: LogDensityAndScore,
    start: Tensor,
    generator: Generator | None,
    iterations: int = 250,
    stop: Callable[[], bool] = lambda: False,
    first_step: Tensor | None = None,
) -> tuple[State, LocalGaussians, LocalGaussians]:
    """BFGS from every ``start: (S, D)``: ``(end states, best Gaussian of each start, good Gaussians of all paths)``.

    A chain stops when half its squared Newton decrement ``gᵀHg / 2`` is below 1e-7 nats or its line search finds no
    rise. At about 17 points of every path the Gaussian N(x + H g, H) is given a bound by eight draws, and the best of
    each start is kept, as well as all within 10 nats of the best of all. ``first_step: (S,)``: how far the first trial
    goes from each start, 1 by default. Zhang, Carpenter, Gelman and
    Vehtari (2022), arXiv 2108.03782; line search of Lewis and Overton (2013), Mathematical Programming 141.

    >>> bowl = lambda x: (-0.5 * (x - 3).square().sum(-1), 3 - x)
    >>> state, best, _ = ascend(bowl, torch.zeros(2, 1, dtype=torch.float64), torch.Generator().manual_seed(0))
    >>> state.x.flatten().tolist(), round(float(best.elbo[0]), 4)
    ([3.0, 3.0], 0.9189)
    """
    state = init(log_prob_and_score, start.clone())
    starts = len(start)
    inverse = _steepest(state.score, torch.ones_like(state.log_prob) if first_step is None else first_step)
    best = LocalGaussians(start.clone(), inverse.clone(), torch.full_like(state.log_prob, -torch.inf))
    active = (state.log_prob > -torch.inf).nonzero()[:, 0]
    looks = {int(look) for look in torch.logspace(math.log10(3), math.log10(iterations), 17)} | {iterations}
    passed: list[LocalGaussians] = [best]
    fresh = torch.ones(starts, dtype=torch.bool, device=start.device)
    for iteration in range(1, iterations + 1):
        if active.numel() == 0 or stop():
            break
        here = State(*(field[active] for field in state))
        direction = (inverse[active] @ here.score[:, :, None])[..., 0]
        slope = (direction * here.score).sum(-1)
        there, found = line_search(log_prob_and_score, here, direction, slope)
        inverse[active] = _updated(inverse[active], there.x - here.x, here.score - there.score, iteration == 1)
        for field, value in zip(state, there, strict=True):
            field[active] = value
        newton = (inverse[active] @ there.score[:, :, None])[..., 0]
        decrement = 0.5 * (newton * there.score).sum(-1)
        going = found & (decrement > 1e-7)
        look = active if iteration in looks else active[~going]
        if look.numel():
            step = (inverse[look] @ state.score[look, :, None])[..., 0]
            seen = local_gaussians(log_prob_and_score, state.x[look] + step, inverse[look], generator)
            passed.append(seen.take((seen.elbo > best.elbo.max() - NEAR).nonzero()[:, 0]))
            chosen = best.take(look).better_of(seen)
            for field, value in zip(best, chosen, strict=True):
                field[look] = value
        restart = active[~found & fresh[active]]
        fresh[active] = found
        inverse[restart] = _steepest(state.score[restart], torch.ones_like(state.log_prob[restart]))
        active = torch.cat([active[going], restart])
    good = joined(*passed)
    return state, best, good.take((good.elbo > best.elbo.max() - NEAR).nonzero()[:, 0])


def _newton(log_prob_and_score: LogDensityAndScore, local: LocalGaussians, generator: Generator | None):
    """One Newton step of each Gaussian, with the Hessian from differences of ±0.3 standard deviations of the score.

    Directions in which the density is not concave keep the absolute value of their curvature.
    """
    starts, dim = local.mean.shape
    offset = 0.3 * local.scale_tril.mT
    around = torch.stack([local.mean[:, None] + offset, local.mean[:, None] - offset], 1)
    score = log_prob_and_score(around.flatten(0, 2))[1].reshape(starts, 2, dim, dim) @ local.scale_tril[:, None]
    curvature = (score[:, 1] - score[:, 0]) / 0.6
    curvature = torch.where(
        curvature.isfinite().all(-1).all(-1)[:, None, None], curvature, torch.eye(dim).to(curvature)
    )
    values, vectors = torch.linalg.eigh(0.5 * (curvature + curvature.mT))
    inverse = (vectors / values.abs().clamp(min=1e-3, max=1e8)[:, None]) @ vectors.mT
    slope = (log_prob_and_score(local.mean)[1][:, None] @ local.scale_tril)[:, 0]
    newton = (inverse @ slope[:, :, None])[..., 0]
    newton = newton / (newton.norm(dim=-1, keepdim=True) / (10 * math.sqrt(dim))).clamp(min=1)
    mean = local.mean + (local.scale_tril @ newton[:, :, None])[..., 0]
    covariance = local.scale_tril @ inverse @ local.scale_tril.mT
    return local_gaussians(log_prob_and_score, mean, covariance, generator, draws=16)


def distinct(local: LocalGaussians) -> Tensor:
    """Row numbers, best first, of those whose means lie more than half a standard deviation from every better one."""
    kept: list[int] = []
    for index in local.elbo.argsort(descending=True).tolist():
        if not math.isfinite(float(local.elbo[index])):
            break
        gap = local.mean[index] - local.mean[kept]
        white = torch.linalg.solve_triangular(local.scale_tril[kept], gap[:, :, None], upper=False)[..., 0]
        if not bool((white.square().mean(-1) < 0.25).any()):
            kept.append(index)
    return torch.tensor(kept, dtype=torch.long, device=local.mean.device)


@torch.no_grad()
def sharpened(
    log_prob_and_score: LogDensityAndScore, local: LocalGaussians, generator: Generator | None, rounds: int = 8
) -> LocalGaussians:
    """Newton steps with a finite-difference Hessian in each Gaussian's own coordinates, doubles dropped on the way.

    A Gaussian is replaced where its bound rises, and rests once the rise is below 0.02 nats a dimension; a round costs
    2D + 17 calls for each that has not come to rest. Returns the distinct ones, best first.
    """
    local = local.take(distinct(local))
    going = torch.ones_like(local.elbo, dtype=torch.bool)
    for _ in range(rounds):
        if not bool(going.any()):
            break
        moved = _newton(log_prob_and_score, local.take(going.nonzero()[:, 0]), generator)
        before = local.elbo[going]
        for field, value in zip(local, local.take(going.nonzero()[:, 0]).better_of(moved), strict=True):
            field[going] = value
        going[going.clone()] = local.elbo[going] > before + 0.02 * local.mean.shape[1]
        rows = distinct(local)
        local, going = local.take(rows), going[rows]
    return local
