"""Hamiltonian Monte Carlo, batched, in coordinates that a linear preconditioner makes round."""

from __future__ import annotations

import math

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.metric import Factor, times, transposed_times
from amortized.mcmc.state import Info, LogDensityAndScore, State, adaptive_run, init, metropolis, shared

__all__ = ["Info", "State", "init", "jitter", "quarter_period", "run", "step"]

TARGET_ACCEPTANCE_RATE = 0.75
"""Between 0.651, best for Gaussians in many dimensions (Beskos et al. 2013), and Stan's cautious 0.8."""


def step(
    log_prob_and_score: LogDensityAndScore,
    state: State,
    step_size: Tensor,
    factor: Factor,
    num_steps: int,
    generator: Generator | None,
) -> tuple[State, Info]:
    """One move of ``num_steps`` leapfrog steps: ``x' = x + ε A p``, ``p' = p + ε Aᵀ ∇log R``, p ~ N(0, I).

    A trajectory is refused where its end has a density of -inf or NaN. Neal (2011), arXiv 1206.1901.

    Args:
        log_prob_and_score: the target; called once a leapfrog step.
        state: the chains, ``(B, D)``.
        step_size: ε in units of the preconditioned coordinates ``A⁻¹ x``; a scalar, or ``(M,)`` as in ``shared``.
        factor: A ``(D, D)``, its diagonal ``(D,)``, or of low rank. A Aᵀ, the inverse mass matrix, should be near the
            covariance.
        num_steps: leapfrog steps of a trajectory.
        generator: source of randomness.

    >>> generator = torch.Generator().manual_seed(0)
    >>> normal = lambda x: (-0.5 * x.square().sum(-1), -x)
    >>> state = init(normal, torch.zeros(4, 2))
    >>> state, info = step(normal, state, torch.tensor(0.3), torch.eye(2), 5, generator)
    >>> bool((info.acceptance_rate > 0.8).all())
    True
    """
    length = shared(step_size, len(state.x))[:, None].to(state.x.dtype)
    momentum = torch.randn(state.x.shape, generator=generator, dtype=state.x.dtype, device=state.x.device)
    kinetic = 0.5 * momentum.square().sum(-1)
    proposal = state
    half = 0.5 * length
    momentum = torch.addcmul(momentum, half, transposed_times(state.score, factor))
    for index in range(num_steps):
        x = torch.addcmul(proposal.x, length, times(momentum, factor))
        proposal = State(x, *log_prob_and_score(x))
        kick = length if index + 1 < num_steps else half
        momentum = torch.addcmul(momentum, kick, transposed_times(proposal.score, factor))
    log_ratio = proposal.log_prob - state.log_prob + kinetic - 0.5 * momentum.square().sum(-1)
    return metropolis(state, proposal, log_ratio, generator)


@torch.no_grad()
def run(
    log_prob_and_score: LogDensityAndScore,
    state: State,
    steps: int,
    step_size: Tensor,
    factor: Factor,
    num_steps: int,
    generator: Generator | None,
) -> tuple[State, Tensor, Info]:
    """``steps`` moves with an adapted and jittered step size: ``(state, step_size, mean acceptance rates)``.

    The arguments are those of ``step``; the step size is adapted to an acceptance rate of 0.75.

    >>> generator = torch.Generator().manual_seed(0)
    >>> normal = lambda x: (-0.5 * x.square().sum(-1), -x)
    >>> state = init(normal, torch.zeros(64, 2))
    >>> state, step_size, info = run(normal, state, 60, torch.tensor(0.5), torch.eye(2), 4, generator)
    >>> bool(abs(info.acceptance_rate.mean() - 0.75) < 0.2)
    True
    """

    def move(state: State, step_size: Tensor) -> tuple[State, Info]:
        jittered = shared(step_size, len(state.x)) * jitter(state.log_prob, generator)
        return step(log_prob_and_score, state, jittered, factor, num_steps, generator)

    return adaptive_run(move, state, steps, step_size, TARGET_ACCEPTANCE_RATE)


def jitter(like: Tensor, generator: Generator | None) -> Tensor:
    """Factors U(0.4, 1.2) for the step sizes, one for each entry of ``like``.

    They break the periods of nearly Gaussian targets, on which trajectories of one length return to their start.
    """
    return 0.4 + 0.8 * torch.rand(like.shape, generator=generator, dtype=like.dtype, device=like.device)


def quarter_period(step_size: float, max_num_steps: int) -> int:
    """Leapfrog steps for π/2, a quarter of a standard Gaussian's period: there x has forgotten where it started."""
    return min(max(round(0.5 * math.pi / step_size), 1), max_num_steps)
