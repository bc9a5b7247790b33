"""Parallel chains of Hamiltonian Monte Carlo."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from amortized._types import Generator, Tensor
from amortized.baselines.chains import ChainOptions, Kernel, sample_chains
from amortized.baselines.record import Run
from amortized.baselines.renamed import renamed_arguments
from amortized.mcmc import hmc
from amortized.mcmc.state import Info, LogDensityAndScore, State
from amortized.results.draws import Draws
from amortized.targets.base import Target


@renamed_arguments(max_leapfrogs="max_num_steps", target_acceptance="target_acceptance_rate")
def run(
    target: Target | Callable,
    args: Sequence = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    chains: int = 64,
    warmup: int = 400,
    draws: int = 250,
    thin: int = 1,
    max_num_steps: int = 16,
    full_mass: bool = True,
    target_acceptance_rate: float = 0.75,
    seed: int = 0,
    progress: bool = False,
) -> Draws:
    """Chains of HMC as one batch; a trajectory is about a quarter of a Gaussian's period. Neal, arXiv 1206.1901.

    Args:
        target: a density, or a Pyro model, whose arguments are ``args`` and ``kwargs``.
        chains: how many.
        warmup: moves that adapt the step size and the metric, and are thrown away.
        draws: states of each chain.
        thin: moves from one draw to the next.
        max_num_steps: most leapfrog steps of a trajectory, whose step size is drawn anew for every chain and move.
        full_mass: whether the metric is the covariance of all chains, or its diagonal.
        target_acceptance_rate: that the step size is adapted to.
        seed: of all randomness.
        progress: whether to show a bar.

    Returns:
        Draws with ``attributes``: ``rhat``, ``ess``, ``acceptance_rate``, ``step_size``.

    Raises:
        ValueError: for fewer than four draws a chain, and where no start has a finite density.

    >>> from amortized.targets.callable import DensityTarget
    >>> normal = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=2)
    >>> found = run(normal, chains=8, warmup=40, draws=20)
    >>> found.sites["x"].shape, found.chains
    (torch.Size([160, 2]), 8)
    """
    options = ChainOptions(target_acceptance_rate, chains, warmup, draws, thin, full_mass, seed, progress)
    return sample_chains(Run(target, args, kwargs), "hmc", kernel(max_num_steps), options)


def kernel(max_num_steps: int) -> Kernel:
    """A move with a jittered step size and the identity as its metric."""

    def move(
        log_prob_and_score: LogDensityAndScore, state: State, step_size: Tensor, generator: Generator | None
    ) -> tuple[State, Info]:
        num_steps = hmc.quarter_period(float(step_size.median()), max_num_steps)
        jittered = step_size * hmc.jitter(state.x[:, 0], generator)
        return hmc.step(log_prob_and_score, state, jittered, torch.ones_like(state.x[0]), num_steps, generator)

    return move
