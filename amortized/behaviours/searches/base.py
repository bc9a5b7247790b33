"""The contract of a search in the target's space, and the chains that two of them run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor, renamed
from amortized.mcmc.state import Info, State, adapted
from amortized.targets.base import Target


class Found(NamedTuple):
    """The result of a search.

    Args:
        ends: ``(N, D)``.
        log_target: ``log R: (N,)``, in nats.
        acceptance_rate: the mean over chains and moves.
        starts: ``(N,)``, the row that each end was reached from; None if the search has no such row.
    """

    ends: Tensor
    log_target: Tensor
    acceptance_rate: float
    starts: Tensor | None = None

    @property
    def acceptance(self) -> float:
        """The former name of ``acceptance_rate``."""
        return renamed("Found.acceptance", "acceptance_rate", self.acceptance_rate)


class Search(ABC):
    """Finds ends in the target's space."""

    needs_starts: bool = True
    """False: the search reads only the shape and dtype of ``starts``."""

    @abstractmethod
    def __call__(self, target: Target, starts: Tensor, generator: Generator | None = None) -> Found:
        """Ends and their log R, as many as the search finds, from ``starts: (B, D)``."""


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
    """``steps`` moves of all chains side by side, with one step size for all.

    Without a burn-in the step size adapts throughout: from B exact draws the last states are off by an order of 1/B. A
    step size of its own for each chain would depend on the chain's place, and shrink the tails whatever B is.

    Args:
        move: ``(state, step_size)`` to the next state.
        state: the start.
        steps: moves of each chain.
        step_size: a scalar.
        target_acceptance: adapt the step size to this mean acceptance rate; None keeps it.
        burn_in: moves during which the step size adapts. Every state that a chain moves to afterwards is returned,
            once however long the chain stayed: these are no exact draws, and off-policy training needs none. None
            returns the last state of each chain.

    Returns:
        What was found, and the last step size, a scalar.
    """
    total = torch.zeros_like(state.log_prob)
    visits: list[tuple[Tensor, Tensor, Tensor]] = []
    for iteration in range(steps):
        before = state.x
        state, info = move(state, step_size)
        total = total + info.acceptance_rate
        if target_acceptance is not None and (burn_in is None or iteration < burn_in):
            step_size = adapted(step_size, info.acceptance_rate, iteration, target_acceptance)
        if burn_in is not None and iteration >= burn_in:
            visits.append((state.x, state.log_prob, (state.x != before).any(-1)))
    ends, log_target = state.x, state.log_prob
    starts = torch.arange(len(ends), device=ends.device)
    if visits:
        moved = torch.cat([moved for _, _, moved in visits])
        ends = torch.cat([x for x, _, _ in visits])[moved]
        log_target = torch.cat([log_prob for _, log_prob, _ in visits])[moved]
        starts = starts.repeat(len(visits))[moved]
    return Found(ends, log_target, float(total.mean()) / max(steps, 1), starts), step_size
