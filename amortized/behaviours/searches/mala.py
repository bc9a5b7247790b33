"""Search by parallel Metropolis-adjusted Langevin chains."""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.behaviours.searches.base import Found, Search, check_chain, run_chains
from amortized.mcmc import mala
from amortized.mcmc.state import Info, State
from amortized.targets.base import Target


class MALASearch(Search):
    """MALA moves from every start; ``steps + 1`` target calls a chain.

    Args:
        steps: moves of each chain.
        step_size: h in squared units of x.
        adapt: fit the step size of all chains to a mean acceptance rate of 0.574, the optimum in many dimensions, and
            keep it for the next search.
        burn_in: moves before every state that a chain moves to is returned; None returns each chain's last state.
            arXiv 2402.05098 takes ``steps=200, burn_in=100``.
    """

    def __init__(self, steps: int = 50, step_size: float = 0.01, adapt: bool = True, burn_in: int | None = None):
        check_chain(steps, step_size, burn_in)
        self.steps = steps
        self.step_size = step_size
        self.adapt = adapt
        self.burn_in = burn_in

    def __call__(self, target: Target, starts: Tensor, generator: Generator | None = None) -> Found:
        def move(state: State, step_size: Tensor) -> tuple[State, Info]:
            return mala.step(target.log_prob_and_score, state, step_size, generator)

        step_size = torch.tensor(self.step_size, dtype=starts.dtype, device=starts.device)
        acceptance = 0.574 if self.adapt else None
        state = mala.init(target, starts)
        found, step_size = run_chains(move, state, self.steps, step_size, acceptance, self.burn_in)
        if self.adapt:
            self.step_size = float(step_size)
        return found
