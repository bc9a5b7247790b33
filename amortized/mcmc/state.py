"""What every kernel in this folder passes along: positions with their log density and score, and the accept step."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor

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


def adapted(step_size: Tensor, acceptance: Tensor, iteration: int, target_acceptance: float) -> Tensor:
    """One Robbins-Monro step on ``log step_size`` with gain ``2 (1 + iteration)^-0.6``.

    A ``step_size: (B,)`` follows each chain's own acceptance, a scalar their mean.
    """
    error = (acceptance if step_size.ndim else acceptance.mean()) - target_acceptance
    return step_size * (error * 2.0 * (1.0 + iteration) ** -0.6).exp().to(step_size.dtype)
