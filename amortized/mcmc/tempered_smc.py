"""Sequential Monte Carlo from a base density to a target along a ladder of temperatures that it chooses itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc import hmc
from amortized.mcmc import independence as jumps
from amortized.mcmc.state import Density, LogDensityAndScore, State, evaluator
from amortized.mixtures.gaussian import GaussianMixture, safe_cholesky
from amortized.weights import Estimate, effective_sample_size, systematic

FIRST_STEP_SIZE, LARGEST_LOG_STEP_SIZE = 0.5, 0.3
"""Step sizes in units of the metric. Leapfrog steps of over 2 diverge on a Gaussian; exp(0.3) · 1.2 stays below."""

LOG_STEP_SIZE_GAIN = 1.5
"""Change of the log step size per unit of acceptance rate: constant, since the target changes with each temperature."""

BISECTIONS, SMALLEST_INCREMENT = 40, 1e-16
"""Forty halvings of ``log(1 / 1e-16)`` leave an error of 3e-11 in the logarithm of the increment."""


class Result(NamedTuple):
    """Equally weighted particles at the last temperature, and what the ladder says.

    Args:
        state: particles ``(N, D)`` with their log density and score *under the target*.
        log_evidence: log Z in nats; NaN unless ``finished``.
        temperatures: the ladder β from 0, to 1 when ``finished``.
        families: how many of the first particles have descendants.
        acceptance_rate: mean acceptance rate of the last HMC move.
        finished: whether the ladder reached 1.
    """

    state: State
    log_evidence: Estimate
    temperatures: tuple[float, ...]
    families: int
    acceptance_rate: float
    finished: bool


def metrics(x: Tensor, score: Tensor, log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Factors A ``(D, D)`` of two preconditioners of weighted particles: their covariance, and E[score scoreᵀ]⁻¹.

    The first knows the whole spread, the second the width of one mode. Both are shrunk towards their diagonal by
    D / (D + 10 N).
    """
    weight = log_weights.double().softmax(0)[:, None]
    count, dim = x.shape
    keep = 1 - dim / (dim + 10 * count)
    centred = x.double() - (weight * x).sum(0)
    covariance = centred.mT @ (weight * centred)
    information = score.double().mT @ (weight * score)
    shrunk = [keep * matrix + (1 - keep) * matrix.diagonal().diag() for matrix in (covariance, information)]
    inverse_factor = torch.linalg.solve_triangular(
        safe_cholesky(shrunk[1]), torch.eye(dim, dtype=torch.float64, device=x.device), upper=False
    ).mT
    return safe_cholesky(shrunk[0]).to(x.dtype), inverse_factor.to(x.dtype)


def next_increment(log_ratio: Tensor, temperature: float, ess_fraction: float) -> float:
    """The largest step of the temperature that keeps the ESS at ``ess_fraction`` of the particles.

    ``log_ratio: (N,)`` is log R − log base. Particles at -inf are left out of the count.
    """
    finite = log_ratio[log_ratio > -torch.inf].double()
    wanted = ess_fraction * finite.numel()
    upper = 1.0 - temperature
    if float(effective_sample_size(upper * finite)) >= wanted:
        return upper
    low, high = math.log(SMALLEST_INCREMENT), math.log(upper)
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        enough = float(effective_sample_size(math.exp(middle) * finite)) >= wanted
        low, high = (middle, high) if enough else (low, middle)
    return math.exp(low)


class Mover:
    """HMC moves that alternate between two metrics, then one jump along axes.

    Each metric keeps its own step size, adapted to an acceptance rate of 0.75. The jump keeps its number of axes. Both
    follow means over all N particles, so that exact draws stay exact up to an order of 1/N.

    Args:
        axes: ``(D, D)``; jumps go along single axes of ``axes @ x``.
        generator: source of randomness.
        max_moves: most HMC moves at a temperature: particles usually travel one standard deviation in fewer.
        max_num_steps: most leapfrog steps of a move; 1 makes the moves MALA's.
        stop: asked after each HMC move; where it says yes there is no further one at this temperature.
    """

    def __init__(
        self,
        axes: Tensor,
        generator: Generator | None,
        max_moves: int = 6,
        max_num_steps: int = 8,
        stop: Callable[[], bool] = lambda: False,
    ):
        self.stop = stop
        self.axes = axes
        self.generator = generator
        self.max_moves = max_moves
        self.max_num_steps = max_num_steps
        self.log_step_sizes = [math.log(FIRST_STEP_SIZE), math.log(FIRST_STEP_SIZE)]
        self.turn = 0
        self.coordinates = axes.shape[0]

    def glide(self, density: LogDensityAndScore, state: State, factor: Tensor, which: int) -> tuple[State, float]:
        """One HMC move of every particle, of about a quarter of a period, with metric ``which``."""
        step_size = math.exp(self.log_step_sizes[which])
        num_steps = hmc.quarter_period(step_size, self.max_num_steps)
        jittered = step_size * hmc.jitter(state.x[:, 0], self.generator)
        state, info = hmc.step(density, state, jittered, factor, num_steps, self.generator)
        acceptance_rate = float(info.acceptance_rate.mean())
        change = LOG_STEP_SIZE_GAIN * (acceptance_rate - hmc.TARGET_ACCEPTANCE_RATE)
        self.log_step_sizes[which] = min(self.log_step_sizes[which] + change, LARGEST_LOG_STEP_SIZE)
        return state, acceptance_rate

    def jump(self, density: LogDensityAndScore, state: State) -> State:
        """One jump of half of the particles, along as many axes as are accepted about a third of the time."""
        state, info = jumps.redraw_from_chains(density, state, self.coordinates, self.axes, self.generator)
        self.coordinates = jumps.next_count(self.coordinates, float(info.acceptance_rate.mean()), len(self.axes))
        return state

    def moves(self, density: LogDensityAndScore, state: State, factors: tuple[Tensor, Tensor]) -> tuple[State, float]:
        """Glides, and a jump."""
        state, acceptance_rate = self.glides(density, state, factors)
        return self.jump(density, state), acceptance_rate

    def glides(self, density: LogDensityAndScore, state: State, factors: tuple[Tensor, Tensor]) -> tuple[State, float]:
        """HMC moves until the particles have travelled about one standard deviation in the narrower metric."""
        origin, acceptance_rate = state.x, 0.0
        for count in range(self.max_moves):
            which = self.turn % 2
            state, acceptance_rate = self.glide(density, state, factors[which], which)
            self.turn += 1
            moved = state.x - origin
            steps = moved / factors[1] if factors[1].ndim == 1 else torch.linalg.solve(factors[1], moved.mT).mT
            travelled = steps.square().mean(0).median()
            if (count >= 1 and float(travelled) > 1.0) or self.stop():
                break
        return state, acceptance_rate


class _Particles(NamedTuple):
    """Particles ``(N, D)`` with log density and score under the target and under the base."""

    x: Tensor
    log_prob: Tensor
    score: Tensor
    base_log_prob: Tensor
    base_score: Tensor

    def tempered(self, temperature: float) -> State:
        """Their state under ``base^(1−β) target^β``."""
        base, target = (self.base_log_prob, self.base_score), (self.log_prob, self.score)
        return State(self.x, *((1 - temperature) * b + temperature * t for b, t in zip(base, target, strict=True)))


def _evaluated(density: LogDensityAndScore, base: GaussianMixture, x: Tensor) -> _Particles:
    return _Particles(x, *density(x), *base.log_prob_and_score(x))


@torch.no_grad()
def run(
    target: Density | LogDensityAndScore,
    base: GaussianMixture,
    particles: int,
    generator: Generator | None,
    ess_fraction: float = 0.7,
    mover: Mover | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Result:
    """Carries draws of ``base`` through ``π_β ∝ base^(1−β) R^β`` from β = 0 to 1, and estimates Z on the way.

    Del Moral, Doucet and Jasra (2006), JRSS B 68. The standard error is that of the families of the first particles:
    Chan and Lai (2013), Annals of Statistics 41; Lee and Whiteley, arXiv 1509.00394.

    Args:
        target: a ``Target``, or a function ``x -> (log_prob, score)``.
        base: where the particles start.
        particles: N.
        generator: source of randomness.
        ess_fraction: part of the ESS that each temperature keeps; 0.7 makes rungs that a few moves can follow.
        mover: moves the particles at each temperature; by default with jumps along the axes of x.
        stop: asked before each temperature; where it says yes the run ends, and is not ``finished``.

    Raises:
        ValueError: where the density is zero at every draw of the base.

    >>> base = GaussianMixture(torch.ones(1), torch.zeros(1, 2), 3 * torch.eye(2)[None])
    >>> result = run(lambda x: (-0.5 * x.square().sum(-1), -x), base, 512, torch.Generator().manual_seed(0))
    >>> abs(result.log_evidence.value - math.log(2 * math.pi)) < 4 * result.log_evidence.std_error
    True
    """
    density = evaluator(target)
    now = _evaluated(density, base, base.sample(particles, generator))
    mover = mover or Mover(torch.eye(now.x.shape[1]).to(now.x), generator)
    eve = torch.arange(particles, device=now.x.device)
    log_evidence, acceptance_rate, ladder = 0.0, 0.0, [0.0]
    while ladder[-1] < 1.0 and not stop():
        increment = next_increment(now.log_prob - now.base_log_prob, ladder[-1], ess_fraction)
        ladder.append(1.0 if increment >= 1.0 - ladder[-1] else ladder[-1] + increment)
        log_weights = (increment * (now.log_prob - now.base_log_prob)).double()
        log_evidence += float(log_weights.logsumexp(0)) - math.log(particles)
        factors = metrics(now.x, now.tempered(ladder[-1]).score, log_weights)
        ancestor = systematic(log_weights, particles, generator)
        eve = eve[ancestor]
        now = _Particles(*(field[ancestor] for field in now))

        def tempered(x: Tensor, temperature: float = ladder[-1]) -> tuple[Tensor, Tensor]:
            return _evaluated(density, base, x).tempered(temperature)[1:]

        state, acceptance_rate = mover.moves(tempered, now.tempered(ladder[-1]), factors)
        now = _evaluated(density, base, state.x)
    state, finished = State(now.x, now.log_prob, now.score), ladder[-1] >= 1.0
    # Z of the temperature that was reached is not the target's, and would be read as such
    estimate = Estimate(log_evidence, _std_error(eve)) if finished else Estimate(math.nan, math.nan)
    return Result(state, estimate, tuple(ladder), len(eve.unique()), acceptance_rate, finished)


def _std_error(eve: Tensor) -> float:
    """Of log Z, from the shares of the particles ``(N,)`` that descend from each first particle."""
    shares = torch.bincount(eve, minlength=len(eve)).double() / len(eve)
    return float((shares.square().sum() - 1 / len(eve)).clamp(min=0).sqrt())
