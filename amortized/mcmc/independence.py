"""Moves that need no gradient and cross from mode to mode: independence proposals and differences of other chains."""

from __future__ import annotations

from typing import Protocol

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import Info, LogDensityAndScore, State, metropolis
from amortized.mixtures.product import ProductMixture

CENTRES = 128


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
    """One Metropolis-Hastings move of every chain with fresh draws of ``proposal``: ratio ``R(y) q(x) / R(x) q(y)``.

    >>> generator = torch.Generator().manual_seed(0)
    >>> from amortized.mixtures.gaussian import GaussianMixture
    >>> base = GaussianMixture(torch.ones(1), torch.zeros(1, 2), torch.eye(2)[None])
    >>> normal = lambda x: (-0.5 * x.square().sum(-1), -x)
    >>> state, info = independence(normal, State(torch.ones(3, 2), -torch.ones(3), -torch.ones(3, 2)), base, generator)
    >>> info.acceptance.tolist()
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

    The set S of ``coordinates`` of the D axes is drawn for each chain. With all of them it is ``independence``; with
    fewer, a misfit of the others does not lower the acceptance. One call a chain.
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


def marginals(
    log_prob_and_score: LogDensityAndScore,
    state: State,
    coordinates: int,
    scale_tril: Tensor,
    generator: Generator | None,
) -> tuple[State, Info]:
    """Half of the chains draw some coordinates afresh from the one-dimensional densities of the other half.

    Each moving chain takes a random set S of ``coordinates`` of the D axes of ``scale_tril @ x``, and there proposes
    ``y_i ~ q_i``, a kernel estimate from 128 of the resting half; the ratio ``R(y) Π_S q_i(x_i) / R(x) Π_S q_i(y_i)``
    is exact, as q does not depend on the movers. It sets the weights of wells that lie along single axes, and costs
    one call a moving chain.
    """
    count, dim = state.x.shape
    order = torch.randperm(count, generator=generator, device=state.x.device)
    moving, resting = order[: count // 2], order[count // 2 :]
    movers, others = state.x[moving] @ scale_tril.mT, state.x[resting[:CENTRES]] @ scale_tril.mT
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
