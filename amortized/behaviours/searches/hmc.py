"""Search by parallel Hamiltonian Monte Carlo chains."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor, renamed
from amortized.behaviours.searches.base import Found, Search, check_chain, run_chains
from amortized.mcmc import hmc
from amortized.mcmc.state import Info, State
from amortized.targets.base import Target


class HMCSearch(Search):
    """Hamiltonian moves from every start; ``steps · num_steps + 1`` target calls a chain.

    Args:
        steps: moves of each chain.
        step_size: ε in units of ``A⁻¹x``. Each move multiplies it by U(0.4, 1.2), which avoids periodic orbits.
        num_steps: leapfrog steps of a move.
        adapt: fit the step size of all chains to a mean acceptance rate of 0.75, and keep it for the next search.
        burn_in: moves before every state that a chain moves to is returned; None returns each chain's last state.
        factor: A ``(D, D)`` with A Aᵀ near the target's covariance; None is the identity.
        leapfrogs: the former name of ``num_steps``.
    """

    def __init__(
        self,
        steps: int = 10,
        step_size: float = 0.1,
        num_steps: int = 5,
        adapt: bool = True,
        burn_in: int | None = None,
        factor: Tensor | None = None,
        *,
        leapfrogs: int | None = None,
    ):
        if leapfrogs is not None:
            num_steps = renamed("HMCSearch(leapfrogs=)", "num_steps", leapfrogs)
        check_chain(steps, step_size, burn_in)
        if num_steps < 1:
            raise ValueError(f"num_steps={num_steps}: a move takes at least one leapfrog step; write num_steps=5")
        self.steps = steps
        self.step_size = step_size
        self.num_steps = num_steps
        self.adapt = adapt
        self.burn_in = burn_in
        self.factor = factor

    def __call__(self, target: Target, starts: Tensor, generator: Generator | None = None) -> Found:
        dim = starts.shape[1]
        factor = torch.eye(dim).to(starts) if self.factor is None else self.factor.to(starts)

        def move(state: State, step_size: Tensor) -> tuple[State, Info]:
            uniform = torch.rand(len(starts), generator=generator, dtype=starts.dtype, device=starts.device)
            jittered = step_size * (0.4 + 0.8 * uniform)
            return hmc.step(target.log_prob_and_score, state, jittered, factor, self.num_steps, generator)

        step_size = torch.tensor(self.step_size, dtype=starts.dtype, device=starts.device)
        acceptance = 0.75 if self.adapt else None
        state = hmc.init(target, starts)
        found, step_size = run_chains(move, state, self.steps, step_size, acceptance, self.burn_in)
        if self.adapt:
            self.step_size = float(step_size)
        return found
