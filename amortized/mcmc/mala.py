"""The Metropolis-adjusted Langevin algorithm, batched, with the score of the current state kept."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import Info, LogDensityAndScore, State, adapted, init, metropolis, shared

__all__ = ["Info", "State", "init", "run", "step"]


def _log_proposal(there: Tensor, here: Tensor, score: Tensor, step_size: Tensor) -> Tensor:
    return -(there - here - step_size * score).square().sum(-1) / (4 * step_size[..., 0])


def step(
    log_prob_and_score: LogDensityAndScore, state: State, step_size: Tensor, generator: Generator | None
) -> tuple[State, Info]:
    """One move: ``x' = x + h ∇log R(x) + √(2h) ξ`` with ξ ~ N(0, I), accepted by Metropolis and Hastings' rule.

    ``step_size``: h in squared units of x, a scalar tensor or ``(M,)``, as in ``shared``. One new score a move. A
    proposal whose density is -inf or NaN is refused. Roberts and Tweedie (1996), Bernoulli 2(4).

    >>> generator = torch.Generator().manual_seed(0)
    >>> normal = lambda x: (-0.5 * x.square().sum(-1), -x)
    >>> state, info = step(normal, init(normal, torch.zeros(4, 2)), torch.tensor(0.5), generator)
    >>> state.x.shape, bool((info.acceptance <= 1).all())
    (torch.Size([4, 2]), True)
    """
    length = shared(step_size, len(state.x))[:, None].to(state.x.dtype)
    noise = torch.randn(state.x.shape, generator=generator, dtype=state.x.dtype, device=state.x.device)
    x = state.x + length * state.score + (2 * length).sqrt() * noise
    proposal = State(x, *log_prob_and_score(x))
    forward = _log_proposal(x, state.x, state.score, length)
    backward = _log_proposal(state.x, x, proposal.score, length)
    return metropolis(state, proposal, proposal.log_prob - state.log_prob + backward - forward, generator)


@torch.no_grad()
def run(
    log_prob_and_score: LogDensityAndScore,
    state: State,
    steps: int,
    step_size: Tensor,
    generator: Generator | None,
    target_acceptance: float | None = 0.574,
) -> tuple[State, Tensor, Info]:
    """``steps`` moves of every chain, the step size adapted on the way: ``(state, step_size, mean acceptance)``.

    ``step_size``: a scalar tensor for one in common, ``(M,)`` as in ``shared``; its logarithm moves by the gap to
    ``target_acceptance`` with a gain that falls as ``2 i^-0.6`` (0.574: Roberts and Rosenthal 1998, JRSS B 60).
    With ``target_acceptance=None`` the step is kept, and chains that start from the target stay there.

    >>> generator = torch.Generator().manual_seed(0)
    >>> normal = lambda x: (-0.5 * x.square().sum(-1), -x)
    >>> state, step_size, info = run(normal, init(normal, torch.zeros(64, 2)), 100, torch.tensor(0.1), generator)
    >>> bool(abs(info.acceptance.mean() - 0.574) < 0.2), state.x.shape
    (True, torch.Size([64, 2]))
    """
    total = torch.zeros_like(state.log_prob)
    for iteration in range(steps):
        state, info = step(log_prob_and_score, state, step_size, generator)
        if target_acceptance is not None:
            step_size = adapted(step_size, info.acceptance, iteration, target_acceptance)
        total = total + info.acceptance
    return state, step_size, Info(total / max(steps, 1))
