"""The Metropolis-adjusted Langevin algorithm, batched; the score of the current state is computed once."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import Info, LogDensityAndScore, State, adaptive_run, init, metropolis, shared

__all__ = ["Info", "State", "init", "run", "step"]


def _log_proposal(there: Tensor, here: Tensor, score: Tensor, step_size: Tensor) -> Tensor:
    return -(there - here - step_size * score).square().sum(-1) / (4 * step_size[..., 0])


def step(
    log_prob_and_score: LogDensityAndScore, state: State, step_size: Tensor, generator: Generator | None
) -> tuple[State, Info]:
    """One move: ``x' = x + h ∇log R(x) + √(2h) ξ`` with ξ ~ N(0, I), accepted by the Metropolis-Hastings rule.

    A proposal is refused where its density is -inf or NaN. Roberts and Tweedie (1996), Bernoulli 2(4).

    Args:
        log_prob_and_score: the target; called once a move.
        state: the chains, ``(B, D)``.
        step_size: h in squared units of x; a scalar, or ``(M,)`` as in ``shared``.
        generator: source of randomness.

    >>> generator = torch.Generator().manual_seed(0)
    >>> normal = lambda x: (-0.5 * x.square().sum(-1), -x)
    >>> state, info = step(normal, init(normal, torch.zeros(4, 2)), torch.tensor(0.5), generator)
    >>> state.x.shape, bool((info.acceptance_rate <= 1).all())
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
    target_acceptance_rate: float | None = 0.574,
) -> tuple[State, Tensor, Info]:
    """``steps`` moves with an adapted step size: ``(state, step_size, mean acceptance rates)``.

    Args:
        log_prob_and_score: the target; called once a move.
        state: the chains, ``(B, D)``.
        steps: moves of every chain.
        step_size: the first h; a scalar, or ``(M,)`` as in ``shared``.
        generator: source of randomness.
        target_acceptance_rate: 0.574 is best in many dimensions (Roberts and Rosenthal 1998, JRSS B 60). With None
            the step size stays, and chains that start from the target stay there.

    >>> generator = torch.Generator().manual_seed(0)
    >>> normal = lambda x: (-0.5 * x.square().sum(-1), -x)
    >>> state, step_size, info = run(normal, init(normal, torch.zeros(64, 2)), 100, torch.tensor(0.1), generator)
    >>> bool(abs(info.acceptance_rate.mean() - 0.574) < 0.2), state.x.shape
    (True, torch.Size([64, 2]))
    """

    def move(state: State, step_size: Tensor) -> tuple[State, Info]:
        return step(log_prob_and_score, state, step_size, generator)

    return adaptive_run(move, state, steps, step_size, target_acceptance_rate)
