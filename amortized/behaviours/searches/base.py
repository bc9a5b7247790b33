"""The contract of a search in the target's space, and the chains that two of them run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import Info, State, adapted
from amortized.targets.base import Target


class Found(NamedTuple):
    """What a search brings: ``ends: (N, D)``, ``log_target = log R: (N,)``, its mean ``acceptance``, and ``starts``
    ``(N,)``, the row that each end was reached from; None where they have no such row."""

    ends: Tensor
    log_target: Tensor
    acceptance: float
    starts: Tensor | None = None


class Search(ABC):
    """Finds ends in the target's space from ``starts: (B, D)``; ``needs_starts=False`` looks at their shape only."""

    needs_starts: bool = True

    @abstractmethod
    def __call__(self, target: Target, starts: Tensor, generator: Generator | None = None) -> Found:
        """Ends and their log R, as many as the search has to give."""


def check_chain(steps: int, step_size: float, burn_in: int | None) -> None:
    """Raise ValueError where a chain cannot run so."""
    if steps < 0 or not step_size > 0:
        raise ValueError(f"steps={steps}, step_size={step_size}: write steps=50, step_size=0.01")
    if burn_in is not None and not 0 <= burn_in < steps:
        raise ValueError(
            f"burn_in={burn_in} of {steps} steps leaves no move to keep; write burn_in={steps // 2}, or None to keep "
            "the last state of each chain only"
        )


@torch.no_grad()
def run_chains(
    move: Callable[[State, Tensor], tuple[State, Info]],
    state: State,
    steps: int,
    step_size: Tensor,
    target_acceptance: float | None,
    burn_in: int | None,
) -> tuple[Found, Tensor]:
    """``steps`` of ``move(state, step_size)``: what was found, and the step size, a scalar, at the end.

    Without ``burn_in`` it finds the last state of each chain; with it, every state that a chain moved to from then on.
    The step, one for all chains, is adapted to their mean acceptance where there is a ``target_acceptance``, during the
    burn-in or, without one, throughout: from B exact draws the last states are off by an order of 1/B. A step of its
    own for each chain would follow the chain's place, and shrink the tails whatever B is. Kept states of a burn-in are
    no exact draws: a state counts once however long its chain stayed. Training off-policy needs none.
    """
    total = torch.zeros_like(state.log_prob)
    kept: list[tuple[Tensor, Tensor, Tensor]] = []
    for iteration in range(steps):
        before = state.x
        state, info = move(state, step_size)
        total = total + info.acceptance_rate
        if target_acceptance is not None and (burn_in is None or iteration < burn_in):
            step_size = adapted(step_size, info.acceptance_rate, iteration, target_acceptance)
        if burn_in is not None and iteration >= burn_in:
            kept.append((state.x, state.log_prob, (state.x != before).any(-1)))
    ends, log_target = state.x, state.log_prob
    starts = torch.arange(len(ends), device=ends.device)
    if kept:
        moved = torch.cat([moved for _, _, moved in kept])
        ends = torch.cat([x for x, _, _ in kept])[moved]
        log_target = torch.cat([log_prob for _, log_prob, _ in kept])[moved]
        starts = starts.repeat(len(kept))[moved]
    return Found(ends, log_target, float(total.mean()) / max(steps, 1), starts), step_size
