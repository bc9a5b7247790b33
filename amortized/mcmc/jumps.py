"""Moves that need no gradient and cross from mode to mode: independence proposals and differences of other chains."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.mixture import GaussianMixture
from amortized.mcmc.state import Info, LogDensityAndScore, State, metropolis


def independence(
    log_prob_and_score: LogDensityAndScore, state: State, proposal: GaussianMixture, generator: Generator | None
) -> tuple[State, Info]:
    """One Metropolis-Hastings move of every chain with fresh draws of ``proposal``: ratio ``R(y) q(x) / R(x) q(y)``.

    >>> generator = torch.Generator().manual_seed(0)
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


def difference(
    log_prob_and_score: LogDensityAndScore, state: State, coordinates: int, generator: Generator | None
) -> tuple[State, Info]:
    """Half of the chains, in random order, move by the difference of two chains of the other half, in some coordinates.

    ``y_S = x_S + a_S − b_S`` for a random set S of ``coordinates`` of the D, drawn for each chain; symmetric, hence
    exact. It carries a chain from well to well when the other half knows both. Only the moving half is evaluated.
    ter Braak and Vrugt (2008), Statistics and Computing 18.
    """
    count, dim = state.x.shape
    order = torch.randperm(count, generator=generator, device=state.x.device)
    moving, resting = order[: count // 2], order[count // 2 :]
    pick = torch.randint(resting.numel(), (2, moving.numel()), generator=generator, device=state.x.device)
    rank = torch.rand(moving.numel(), dim, generator=generator, device=state.x.device).argsort(-1)
    move = (state.x[resting[pick[0]]] - state.x[resting[pick[1]]]) * (rank < coordinates)
    here = State(*(field[moving] for field in state))
    x = here.x + move
    there = State(x, *log_prob_and_score(x))
    chosen, info = metropolis(here, there, there.log_prob - here.log_prob, generator)
    merged = State(*(field.index_copy(0, moving, value) for field, value in zip(state, chosen, strict=True)))
    return merged, info
