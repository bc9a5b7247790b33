"""Parallel chains of Hamiltonian Monte Carlo."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from amortized._types import Generator, Tensor
from amortized.baselines.chains import run_chains
from amortized.baselines.targets import as_target
from amortized.mcmc import hmc
from amortized.mcmc.state import Info, LogDensityAndScore, State
from amortized.results.draws import Draws
from amortized.targets.base import Target


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
    """``chains`` chains as one batch, each of ``draws`` states that lie ``thin`` moves apart.

    The warm-up adapts the step to the acceptance, and the metric to the covariance of all chains, or to its diagonal
    without ``full_mass``. A trajectory is about a quarter of a Gaussian's period, of at most ``max_num_steps`` steps,
    its length drawn anew for every chain and move. ``attributes``: ``rhat``, ``ess``, ``acceptance``, ``step_size``.
    Raises ``ValueError`` for under four draws a chain, and where no start with a finite density is found. Neal (2011),
    arXiv 1206.1901.

    >>> from amortized.targets.callable import DensityTarget
    >>> normal = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=2)
    >>> found = run(normal, chains=8, warmup=40, draws=20)
    >>> found.sites["x"].shape, found.chains
    (torch.Size([160, 2]), 8)
    """

    def move(
        log_prob_and_score: LogDensityAndScore, state: State, step_size: Tensor, generator: Generator | None
    ) -> tuple[State, Info]:
        num_steps = min(max(round(0.5 * math.pi / float(step_size.median())), 1), max_num_steps)
        uniform = torch.rand(state.log_prob.shape, generator=generator, dtype=state.x.dtype, device=state.x.device)
        jittered = step_size * (0.4 + 0.8 * uniform)
        return hmc.step(log_prob_and_score, state, jittered, torch.ones_like(state.x[0]), num_steps, generator)

    return run_chains(
        "hmc",
        as_target(target, args, kwargs),
        move,
        target_acceptance_rate,
        chains=chains,
        warmup=warmup,
        draws=draws,
        thin=thin,
        full_mass=full_mass,
        seed=seed,
        progress=progress,
    )
