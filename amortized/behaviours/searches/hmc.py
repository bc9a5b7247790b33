"""Search by parallel Hamiltonian Monte Carlo chains."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.behaviours.searches.base import Found, Search, check_chain, run_chains
from amortized.mcmc import hmc
from amortized.mcmc.state import Info, State
from amortized.targets.base import Target


class HMCSearch(Search):
    """``steps`` moves of ``leapfrogs`` leapfrog steps from every start; ``steps · leapfrogs + 1`` target calls a chain.

    ``step_size``: ε in units of ``A⁻¹x``, jittered by U(0.4, 1.2); ``factor``: A ``(D, D)`` with A Aᵀ near the
    covariance, the identity if None. ``adapt`` fits one step for all chains to a mean acceptance of 0.75 and
    keeps it for the next search. Each chain's last state is found or, with ``burn_in``, every state that it moved to
    after so many moves, with the step fixed.
    """

    def __init__(
        self,
        steps: int = 10,
        step_size: float = 0.1,
        leapfrogs: int = 5,
        adapt: bool = True,
        burn_in: int | None = None,
        factor: Tensor | None = None,
    ):
        check_chain(steps, step_size, burn_in)
        if leapfrogs < 1:
            raise ValueError(f"leapfrogs={leapfrogs}: a move takes at least one; write leapfrogs=5")
        self.steps = steps
        self.step_size = step_size
        self.leapfrogs = leapfrogs
        self.adapt = adapt
        self.burn_in = burn_in
        self.factor = factor

    def __call__(self, target: Target, starts: Tensor, generator: Generator | None = None) -> Found:
        dim = starts.shape[1]
        factor = torch.eye(dim).to(starts) if self.factor is None else self.factor.to(starts)

        def move(state: State, step_size: Tensor) -> tuple[State, Info]:
            uniform = torch.rand(len(starts), generator=generator, dtype=starts.dtype, device=starts.device)
            jittered = step_size * (0.4 + 0.8 * uniform)
            return hmc.step(target.log_prob_and_score, state, jittered, factor, self.leapfrogs, generator)

        step_size = torch.tensor(self.step_size, dtype=starts.dtype, device=starts.device)
        acceptance = 0.75 if self.adapt else None
        state = hmc.init(target, starts)
        found, step_size = run_chains(move, state, self.steps, step_size, acceptance, self.burn_in)
        if self.adapt:
            self.step_size = float(step_size)
        return found
