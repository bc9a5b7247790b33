"""What every kernel in this folder passes along: positions with their log density and score, and the accept step."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor, by_context, for_rows

LogDensityAndScore = Callable[[Tensor], tuple[Tensor, Tensor]]


class State(NamedTuple):
    """B chains: ``x: (B, D)``, ``log_prob: (B,)`` in nats, ``score: (B, D)`` the gradient kept from the last move."""

    x: Tensor
    log_prob: Tensor
    score: Tensor


class Info(NamedTuple):
    """``acceptance: (B,)``, the probability with which each chain's proposal was accepted."""

    acceptance: Tensor


def evaluator(target) -> LogDensityAndScore:
    """The function ``x -> (log_prob, score)`` of a target, or the function itself."""
    return getattr(target, "log_prob_and_score", target)


def init(target, x: Tensor) -> State:
    """The state at ``x: (B, D)``; ``target`` is a ``Target`` or a function ``x -> (log_prob, score)``.

    >>> init(lambda x: (-0.5 * x.square().sum(-1), -x), torch.ones(2, 3)).log_prob.tolist()
    [-1.5, -1.5]
    """
    return State(x, *evaluator(target)(x))


def metropolis(state: State, proposal: State, log_ratio: Tensor, generator: Generator | None) -> tuple[State, Info]:
    """Accepts each row of ``proposal`` with probability ``min(1, exp(log_ratio))``; a ratio that is NaN is refused."""
    acceptance = torch.where(log_ratio.isnan(), -torch.inf, log_ratio).clamp(max=0.0).exp()
    uniform = torch.rand(acceptance.shape, generator=generator, dtype=acceptance.dtype, device=acceptance.device)
    accepted = uniform < acceptance
    chosen = State(
        torch.where(accepted[:, None], proposal.x, state.x),
        torch.where(accepted, proposal.log_prob, state.log_prob),
        torch.where(accepted[:, None], proposal.score, state.score),
    )
    return chosen, Info(acceptance)


def shared(step_size: Tensor, count: int) -> Tensor:
    """The step ``(count,)`` of each chain: a scalar is everybody's, of ``(M,)`` chain i has that of ``i mod M``.

    >>> shared(torch.tensor([0.1, 0.2]), 4).tolist() == torch.tensor([0.1, 0.2, 0.1, 0.2]).tolist()
    True
    """
    return step_size.expand(count) if step_size.ndim == 0 else for_rows(step_size, count)


def adapted(step_size: Tensor, acceptance: Tensor, iteration: int, target_acceptance: float) -> Tensor:
    """One Robbins-Monro step on ``log step_size`` with gain ``2 (1 + iteration)^-0.6``.

    It follows the mean ``acceptance: (B,)`` of the chains that share it: of all for a scalar ``step_size``, of chains
    ``i mod M`` for ``(M,)``. The fewer share a step, the more their law depends on their own past: chains of one each
    do not keep the target, for n that share one the bias falls as 1/n.
    """
    mean = by_context(acceptance, len(step_size)).mean(0) if step_size.ndim else acceptance.mean()
    return step_size * ((mean - target_acceptance) * 2.0 * (1.0 + iteration) ** -0.6).exp().to(step_size.dtype)
