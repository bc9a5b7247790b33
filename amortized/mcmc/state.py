"""What every kernel in this folder shares: the chains' state, the Metropolis step, and step size adaptation."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import torch

from amortized._types import Generator, Tensor, by_context, for_rows

LogDensityAndScore = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A function ``x: (B, D) -> (log R(x): (B,), ∇ log R(x): (B, D))``."""

FIRST_GAIN, GAIN_DECAY = 2.0, 0.6
"""Robbins-Monro gain ``2 i^-0.6``: a power between 0.5 and 1 makes the step size converge; 2 crosses decades early."""


@runtime_checkable
class Density(Protocol):
    """Anything with a log density and a score, as a ``Target`` or a ``GaussianMixture``."""

    def log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(B, D) -> (B,), (B, D)``."""
        ...


class CountedDensity(Density, Protocol):
    """A density that counts its evaluations, one a particle, as a ``Target``."""

    dtype: torch.dtype
    calls: int


class State(NamedTuple):
    """The state of B chains.

    Args:
        x: positions ``(B, D)``.
        log_prob: log R at the positions, ``(B,)`` in nats.
        score: ``∇ log R`` at the positions, ``(B, D)``, kept so that the next move need not compute it again.
    """

    x: Tensor
    log_prob: Tensor
    score: Tensor


class Info(NamedTuple):
    """``acceptance_rate: (B,)``, the probability with which the proposal of each chain was accepted."""

    acceptance_rate: Tensor


Move = Callable[[State, Tensor], tuple[State, Info]]
"""One move of every chain: ``(state, step_size) -> (state, info)``."""


def evaluator(target: Density | LogDensityAndScore) -> LogDensityAndScore:
    """The function ``x -> (log_prob, score)`` of a target, or the function itself."""
    return target.log_prob_and_score if isinstance(target, Density) else target


def init(target: Density | LogDensityAndScore, x: Tensor) -> State:
    """The state at ``x: (B, D)``; ``target`` is a ``Target`` or a function ``x -> (log_prob, score)``.

    >>> init(lambda x: (-0.5 * x.square().sum(-1), -x), torch.ones(2, 3)).log_prob.tolist()
    [-1.5, -1.5]
    """
    return State(x, *evaluator(target)(x))


def metropolis(state: State, proposal: State, log_ratio: Tensor, generator: Generator | None) -> tuple[State, Info]:
    """Accepts each row of ``proposal`` with probability ``min(1, exp(log_ratio))``; a NaN ratio is refused."""
    acceptance_rate = torch.where(log_ratio.isnan(), -torch.inf, log_ratio).clamp(max=0.0).exp()
    uniform = torch.rand(
        acceptance_rate.shape, generator=generator, dtype=acceptance_rate.dtype, device=acceptance_rate.device
    )
    accepted = uniform < acceptance_rate
    chosen = State(
        torch.where(accepted[:, None], proposal.x, state.x),
        torch.where(accepted, proposal.log_prob, state.log_prob),
        torch.where(accepted[:, None], proposal.score, state.score),
    )
    return chosen, Info(acceptance_rate)


def shared(step_size: Tensor, count: int) -> Tensor:
    """The step size ``(count,)`` of each chain: a scalar is for all; of ``(M,)``, chain i has entry ``i mod M``.

    >>> shared(torch.tensor([0.1, 0.2]), 4).tolist() == torch.tensor([0.1, 0.2, 0.1, 0.2]).tolist()
    True
    """
    return step_size.expand(count) if step_size.ndim == 0 else for_rows(step_size, count)


def adapted(step_size: Tensor, acceptance_rate: Tensor, iteration: int, target_acceptance_rate: float) -> Tensor:
    """One Robbins-Monro step: ``log ε ← log ε + 2 (1 + i)^-0.6 (mean acceptance rate − target)``.

    The fewer chains share a step size, the more their law depends on their own past. Chains with a step size each do
    not keep the target. For n chains that share one the bias falls as 1/n.

    Args:
        step_size: ε, a scalar for all chains, or ``(M,)`` as in ``shared``.
        acceptance_rate: of each chain, ``(B,)``; averaged over the chains that share a step size.
        iteration: i, counted from 0.
        target_acceptance_rate: the mean acceptance rate to reach.
    """
    mean = by_context(acceptance_rate, len(step_size)).mean(0) if step_size.ndim else acceptance_rate.mean()
    gain = FIRST_GAIN * (1.0 + iteration) ** -GAIN_DECAY
    return step_size * ((mean - target_acceptance_rate) * gain).exp().to(step_size.dtype)


def adaptive_run(
    move: Move, state: State, steps: int, step_size: Tensor, target_acceptance_rate: float | None
) -> tuple[State, Tensor, Info]:
    """``steps`` moves with an adapted step size: ``(state, step_size, mean acceptance rates)``.

    Without a ``target_acceptance_rate`` the step size stays, so that chains that start from the target stay there.
    """
    total = torch.zeros_like(state.log_prob)
    for iteration in range(steps):
        state, info = move(state, step_size)
        if target_acceptance_rate is not None:
            step_size = adapted(step_size, info.acceptance_rate, iteration, target_acceptance_rate)
        total = total + info.acceptance_rate
    return state, step_size, Info(total / max(steps, 1))
