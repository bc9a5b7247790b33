"""Hamiltonian Monte Carlo, batched, in coordinates that a linear preconditioner makes round."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import Info, LogDensityAndScore, State, adapted, init, metropolis, shared

__all__ = ["Info", "State", "init", "run", "step"]


def step(
    log_prob_and_score: LogDensityAndScore,
    state: State,
    step_size: Tensor,
    factor: Tensor,
    leapfrogs: int,
    generator: Generator | None,
) -> tuple[State, Info]:
    """One move of ``leapfrogs`` steps of ``x' = x + ε A p``, ``p' = p + ε Aᵀ ∇log R``, p ~ N(0, I).

    ``step_size``: ε, a scalar tensor or ``(M,)`` as in ``shared``, in units of the preconditioned coordinates ``A⁻¹x``;
    ``factor``: A ``(D, D)``, or its diagonal ``(D,)``, with A Aᵀ near the covariance, the inverse of the mass matrix.
    One new score a leapfrog step. A trajectory that meets a density of -inf or NaN at its end is refused.
    Neal (2011), arXiv 1206.1901.

    >>> generator = torch.Generator().manual_seed(0)
    >>> normal = lambda x: (-0.5 * x.square().sum(-1), -x)
    >>> state = init(normal, torch.zeros(4, 2))
    >>> state, info = step(normal, state, torch.tensor(0.3), torch.eye(2), 5, generator)
    >>> bool((info.acceptance > 0.8).all())
    True
    """
    length = shared(step_size, len(state.x))[:, None].to(state.x.dtype)
    momentum = torch.randn(state.x.shape, generator=generator, dtype=state.x.dtype, device=state.x.device)
    kinetic = 0.5 * momentum.square().sum(-1)
    proposal = state
    momentum = momentum + 0.5 * length * (_times(state.score, factor))
    for index in range(leapfrogs):
        x = proposal.x + length * (_times(momentum, factor.mT if factor.ndim == 2 else factor))
        proposal = State(x, *log_prob_and_score(x))
        momentum = momentum + (1.0 if index + 1 < leapfrogs else 0.5) * length * (_times(proposal.score, factor))
    log_ratio = proposal.log_prob - state.log_prob + kinetic - 0.5 * momentum.square().sum(-1)
    return metropolis(state, proposal, log_ratio, generator)


@torch.no_grad()
def run(
    log_prob_and_score: LogDensityAndScore,
    state: State,
    steps: int,
    step_size: Tensor,
    factor: Tensor,
    leapfrogs: int,
    generator: Generator | None,
    target_acceptance: float = 0.75,
) -> tuple[State, Tensor, Info]:
    """``steps`` moves, the step size adapted and jittered by U(0.4, 1.2): ``(state, step_size, mean acceptance)``.

    The jitter, drawn for each chain and move, breaks the periods of nearly Gaussian targets.

    >>> generator = torch.Generator().manual_seed(0)
    >>> normal = lambda x: (-0.5 * x.square().sum(-1), -x)
    >>> state = init(normal, torch.zeros(64, 2))
    >>> state, step_size, info = run(normal, state, 60, torch.tensor(0.5), torch.eye(2), 4, generator)
    >>> bool(abs(info.acceptance.mean() - 0.75) < 0.2)
    True
    """
    total = torch.zeros_like(state.log_prob)
    for iteration in range(steps):
        uniform = torch.rand(total.shape, generator=generator, dtype=total.dtype, device=total.device)
        jittered = shared(step_size, len(uniform)) * (0.4 + 0.8 * uniform)
        state, info = step(log_prob_and_score, state, jittered, factor, leapfrogs, generator)
        step_size = adapted(step_size, info.acceptance, iteration, target_acceptance)
        total = total + info.acceptance
    return state, step_size, Info(total / max(steps, 1))


def _times(rows: Tensor, factor: Tensor) -> Tensor:
    return rows * factor if factor.ndim == 1 else rows @ factor
