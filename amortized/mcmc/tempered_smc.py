"""Sequential Monte Carlo from a base density to a target along a ladder of temperatures that it chooses itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc import hmc
from amortized.mcmc import independence as jumps
from amortized.mcmc.state import LogDensityAndScore, State, evaluator
from amortized.mixtures.gaussian import GaussianMixture, safe_cholesky
from amortized.weights import Estimate, effective_sample_size, systematic


class Result(NamedTuple):
    """Equally weighted particles at the last temperature, and what the ladder says.

    ``state``: particles ``(N, D)`` with their log density and score *under the target*; ``log_evidence``: log Z, not a
    number unless ``finished``; ``temperatures``: the ladder β, ending at 1 when ``finished``; ``families``: how many of
    the first particles have descendants; ``acceptance``: of the last HMC moves.
    """

    state: State
    log_evidence: Estimate
    temperatures: tuple[float, ...]
    families: int
    acceptance: float
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
    """The largest step of the temperature that keeps the effective sample size at ``ess_fraction`` of the finite ones.

    ``log_ratio: (N,)`` is log R − log base; particles at -inf are left out of the count.
    """
    finite = log_ratio[log_ratio > -torch.inf].double()
    wanted = ess_fraction * finite.numel()
    upper = 1.0 - temperature
    if float(effective_sample_size(upper * finite)) >= wanted:
        return upper
    low, high = math.log(1e-16), math.log(upper)
    for _ in range(40):
        middle = 0.5 * (low + high)
        enough = float(effective_sample_size(math.exp(middle) * finite)) >= wanted
        low, high = (middle, high) if enough else (low, middle)
    return math.exp(low)


class Mover:
    """HMC moves that alternate between two metrics, then one jump along the axes of ``axes @ x``.

    Each metric keeps its own step size, adapted to an acceptance of 0.75; the jump keeps its number of coordinates.
    Steps and coordinates follow means over all N particles, so exact draws stay exact up to an order of 1/N.
    """

    def __init__(self, axes: Tensor, generator: Generator | None, max_moves: int = 6, max_leapfrogs: int = 8):
        self.axes = axes
        self.generator = generator
        self.max_moves = max_moves
        self.max_leapfrogs = max_leapfrogs
        self.log_steps = [math.log(0.5), math.log(0.5)]
        self.turn = 0
        self.coordinates = axes.shape[0]

    def glide(self, density: LogDensityAndScore, state: State, factor: Tensor, which: int) -> tuple[State, float]:
        """One HMC move of every particle with metric ``which``; a trajectory is about a quarter of a period."""
        step = math.exp(self.log_steps[which])
        leapfrogs = min(max(round(0.5 * math.pi / step), 1), self.max_leapfrogs)
        uniform = torch.rand(state.log_prob.shape, generator=self.generator, dtype=state.x.dtype, device=state.x.device)
        state, info = hmc.step(density, state, step * (0.4 + 0.8 * uniform), factor, leapfrogs, self.generator)
        acceptance = float(info.acceptance.mean())
        self.log_steps[which] = min(self.log_steps[which] + 1.5 * (acceptance - 0.75), 0.3)
        return state, acceptance

    def jump(self, density: LogDensityAndScore, state: State) -> State:
        """One jump of half of the particles, in as many coordinates as are accepted about a third of the time."""
        state, info = jumps.marginals(density, state, self.coordinates, self.axes, self.generator)
        acceptance = float(info.acceptance.mean())
        if acceptance < 0.2:
            self.coordinates = max(self.coordinates // 2, 1)
        elif acceptance > 0.5:
            self.coordinates = min(self.coordinates * 2, self.axes.shape[0])
        return state

    def moves(self, density: LogDensityAndScore, state: State, factors: tuple[Tensor, Tensor]) -> tuple[State, float]:
        """Glides, and a jump."""
        state, acceptance = self.glides(density, state, factors)
        return self.jump(density, state), acceptance

    def glides(self, density: LogDensityAndScore, state: State, factors: tuple[Tensor, Tensor]) -> tuple[State, float]:
        """HMC moves until the particles have travelled about one standard deviation in the narrower metric."""
        origin, acceptance = state.x, 0.0
        for done in range(self.max_moves):
            which = self.turn % 2
            state, acceptance = self.glide(density, state, factors[which], which)
            self.turn += 1
            moved = state.x - origin
            steps = moved / factors[1] if factors[1].ndim == 1 else torch.linalg.solve(factors[1], moved.mT).mT
            travelled = steps.square().mean(0).median()
            if done >= 1 and float(travelled) > 1.0:
                break
        return state, acceptance


def _blend(base: tuple[Tensor, Tensor], target: tuple[Tensor, Tensor], beta: float) -> tuple[Tensor, Tensor]:
    """Log density and score of ``base^(1−β) target^β`` from those of both."""
    return (1 - beta) * base[0] + beta * target[0], (1 - beta) * base[1] + beta * target[1]


@torch.no_grad()
def run(
    target,
    base: GaussianMixture,
    particles: int,
    generator: Generator | None,
    ess_fraction: float = 0.7,
    axes: Tensor | None = None,
    stop: Callable[[], bool] = lambda: False,
    max_leapfrogs: int = 8,
) -> Result:
    """Carries ``particles`` draws of ``base`` through ``π_β ∝ base^(1−β) R^β`` from β = 0 to 1.

    Each β keeps ``ess_fraction`` of the effective sample size (by bisection); the increments' mean weights multiply to
    an estimate of Z; systematic resampling; HMC moves with metrics of the particles, of at most ``max_leapfrogs`` steps
    (1 makes them MALA), and jumps along single axes of ``axes @ x`` (default: of x). ``target``: a ``Target`` or a
    function ``x -> (log_prob, score)``. The standard error is that of the families of the first particles (Chan and Lai
    2013; Lee and Whiteley, arXiv 1509.00394). Stops early, ``finished`` false, when ``stop()`` says so. Raises
    ValueError when the density is zero at every draw of the base. Del Moral, Doucet and Jasra (2006), JRSS B 68.

    >>> base = GaussianMixture(torch.ones(1), torch.zeros(1, 2), 3 * torch.eye(2)[None])
    >>> result = run(lambda x: (-0.5 * x.square().sum(-1), -x), base, 512, torch.Generator().manual_seed(0))
    >>> abs(result.log_evidence.value - math.log(2 * math.pi)) < 4 * result.log_evidence.std_error
    True
    """
    density = evaluator(target)
    x = base.sample(particles, generator)
    log_prob, score = density(x)
    base_log_prob, base_score = base.log_prob_and_score(x)
    mover = Mover(torch.eye(x.shape[1]).to(x) if axes is None else axes, generator, max_leapfrogs=max_leapfrogs)
    eve = torch.arange(particles, device=x.device)
    temperature, log_evidence, acceptance = 0.0, 0.0, 0.0
    ladder = [0.0]
    while temperature < 1.0 and not stop():
        increment = next_increment(log_prob - base_log_prob, temperature, ess_fraction)
        temperature = 1.0 if increment >= 1.0 - temperature else temperature + increment
        log_weights = (increment * (log_prob - base_log_prob)).double()
        log_evidence += float(log_weights.logsumexp(0)) - math.log(particles)
        tempered_score = (1 - temperature) * base_score + temperature * score
        factors = metrics(x, tempered_score, log_weights)
        ancestor = systematic(log_weights, particles, generator)
        eve = eve[ancestor]
        x, log_prob, score, base_log_prob, base_score = (
            value[ancestor] for value in (x, log_prob, score, base_log_prob, base_score)
        )

        def tempered(x: Tensor, beta: float = temperature) -> tuple[Tensor, Tensor]:
            return _blend(base.log_prob_and_score(x), density(x), beta)

        state = State(x, *_blend((base_log_prob, base_score), (log_prob, score), temperature))
        state, acceptance = mover.moves(tempered, state, factors)
        x = state.x
        log_prob, score = density(x)
        base_log_prob, base_score = base.log_prob_and_score(x)
        ladder.append(temperature)
    shares = torch.bincount(eve, minlength=particles).double() / particles
    error = float((shares.square().sum() - 1 / particles).clamp(min=0).sqrt())
    # Z of the temperature that was reached is not the target's, and would be read as such
    estimate = Estimate(log_evidence, error) if temperature >= 1.0 else Estimate(math.nan, math.nan)
    families = int((shares > 0).sum())
    return Result(State(x, log_prob, score), estimate, tuple(ladder), families, acceptance, temperature >= 1.0)
