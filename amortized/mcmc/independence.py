"""Moves that need no gradient and cross from mode to mode: fresh draws of a proposal, or of other chains' marginals."""

from __future__ import annotations

from typing import Protocol

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import Info, LogDensityAndScore, State, metropolis
from amortized.mixtures.product import ProductMixture

CENTRES = 128
"""Kernels of a one-dimensional density estimate: enough for two or three wells, and cheap against a density call."""

RARELY, OFTEN = 0.2, 0.5
"""Acceptance rates below which a move redraws half as many coordinates, and above which twice as many."""


class Proposal(Protocol):
    """A law that can be drawn from and whose density is known."""

    def sample(self, count: int, generator: Generator | None) -> Tensor:
        """``(count, D)`` independent draws."""
        ...

    def log_prob(self, x: Tensor) -> Tensor:
        """``(N, D) -> (N,)`` in nats."""
        ...


def independence(
    log_prob_and_score: LogDensityAndScore, state: State, proposal: Proposal, generator: Generator | None
) -> tuple[State, Info]:
    """One Metropolis-Hastings move of every chain to a fresh draw of ``proposal``: ratio ``R(y) q(x) / R(x) q(y)``.

    Args:
        log_prob_and_score: the target; called once a chain.
        state: the chains, ``(B, D)``.
        proposal: q.
        generator: source of randomness.

    >>> generator = torch.Generator().manual_seed(0)
    >>> from amortized.mixtures.gaussian import GaussianMixture
    >>> base = GaussianMixture(torch.ones(1), torch.zeros(1, 2), torch.eye(2)[None])
    >>> normal = lambda x: (-0.5 * x.square().sum(-1), -x)
    >>> state, info = independence(normal, State(torch.ones(3, 2), -torch.ones(3), -torch.ones(3, 2)), base, generator)
    >>> info.acceptance_rate.tolist()
    [1.0, 1.0, 1.0]
    """
    x = proposal.sample(state.x.shape[0], generator).to(state.x.dtype)
    there = State(x, *log_prob_and_score(x))
    log_q_here, log_q_there = proposal.log_prob(state.x), proposal.log_prob(x)
    return metropolis(state, there, there.log_prob - state.log_prob + log_q_here - log_q_there, generator)


def redraw(
    log_prob_and_score: LogDensityAndScore,
    state: State,
    proposal: ProductMixture,
    coordinates: int,
    generator: Generator | None,
) -> tuple[State, Info]:
    """Every chain draws some coordinates u of ``proposal`` afresh: ratio ``R(y) Π_S q_i(u_i) / R(x) Π_S q_i(v_i)``.

    Each chain has a random set S of axes. With all axes the move is ``independence``. With fewer, a misfit of the
    other axes does not lower the acceptance rate. One target call a chain.

    Args:
        log_prob_and_score: the target.
        state: the chains, ``(B, D)``.
        proposal: independent coordinates ``u = scale_tril⁻¹ (x − shift)``.
        coordinates: size of S, from 1 to D.
        generator: source of randomness.
    """
    count = state.x.shape[0]
    u, v = proposal.whiten(state.x), proposal.fresh(count, generator)
    rank = torch.rand(u.shape, generator=generator, device=u.device).argsort(-1)
    chosen = rank < coordinates
    v = torch.where(chosen, v, u)
    x = proposal.unwhiten(v).to(state.x.dtype)
    there = State(x, *log_prob_and_score(x))
    log_q_ratio = (proposal.coordinates(u) - proposal.coordinates(v)).masked_fill(~chosen, 0.0).sum(-1)
    return metropolis(state, there, there.log_prob - state.log_prob + log_q_ratio, generator)


def redraw_from_chains(
    log_prob_and_score: LogDensityAndScore,
    state: State,
    coordinates: int,
    scale_tril: Tensor,
    generator: Generator | None,
) -> tuple[State, Info]:
    """Half of the chains draw some coordinates afresh from the one-dimensional densities of the other half.

    A moving chain takes a random set S of axes and there proposes ``y_i ~ q_i``, a kernel estimate from 128 resting
    chains. The ratio is ``R(y) Π_S q_i(x_i) / R(x) Π_S q_i(y_i)``. It is exact, since q does not depend on the moving
    chains. The move sets the weights of wells along single axes. One target call a moving chain.

    Args:
        log_prob_and_score: the target.
        state: the chains, ``(B, D)``.
        coordinates: size of S, from 1 to D.
        scale_tril: ``(D, D)``; the axes are those of ``scale_tril @ x``.
        generator: source of randomness.
    """
    count, dim = state.x.shape
    order = torch.randperm(count, generator=generator, device=state.x.device)
    moving, resting = order[: count // 2], order[count // 2 :]
    movers, others = state.x[moving] @ scale_tril.mT, state.x[resting[:CENTRES]] @ scale_tril.mT
    # under half of Silverman's 1.06 σ n^-1/5, which would join wells into one
    width = 0.4 * others.std(0) * others.shape[0] ** -0.2
    pick = torch.randint(others.shape[0], movers.shape, generator=generator, device=state.x.device)
    noise = torch.randn(movers.shape, generator=generator, dtype=movers.dtype, device=movers.device)
    rank = torch.rand(movers.shape, generator=generator, device=state.x.device).argsort(-1)
    chosen = rank < coordinates
    fresh = torch.where(chosen, others.gather(0, pick) + width * noise, movers)

    def log_q(y: Tensor) -> Tensor:
        kernels = [
            torch.logsumexp(-0.5 * ((y[:, None, axis] - others[:, axis]) / width[axis]).square(), -1)
            for axis in range(dim)
        ]
        return (torch.stack(kernels, -1) * chosen).sum(-1)

    here = State(*(field[moving] for field in state))
    x = here.x + torch.linalg.solve_triangular(scale_tril, (fresh - movers).mT, upper=False).mT
    there = State(x, *log_prob_and_score(x))
    log_ratio = there.log_prob - here.log_prob + log_q(movers) - log_q(fresh)
    accepted, info = metropolis(here, there, log_ratio, generator)
    merged = State(*(field.index_copy(0, moving, value) for field, value in zip(state, accepted, strict=True)))
    return merged, info


def next_count(coordinates: int, acceptance_rate: float, dim: int) -> int:
    """How many of ``dim`` coordinates the next move redraws, so that about a third of the moves are accepted."""
    if acceptance_rate < RARELY:
        return max(coordinates // 2, 1)
    return min(coordinates * 2, dim) if acceptance_rate > OFTEN else coordinates
