"""Many chains at once, as one batch: the warm-up and the loop that MALA and HMC share, and the record of any chains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from pyro.ops.stats import effective_sample_size, split_gelman_rubin
from tqdm.auto import tqdm

from amortized._types import Generator, Tensor
from amortized.baselines.counts import DRAWS_OF_A_CHAIN, check_counts
from amortized.baselines.record import Run
from amortized.mcmc.state import Info, LogDensityAndScore, State, adapted, init
from amortized.mixtures.covariance import significant_scale_tril
from amortized.results.draws import Draws
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Target
from amortized.warmup.starts import uniform_starts

WINDOWS = 4
"""Parts of the warm-up: a new metric after each but the last, which adapts the step size alone."""

FIRST_STEP_SIZE, STEP_SIZE_AFTER_METRIC = 0.1, 0.3
"""Where adaptation starts: before the scale is known, and in coordinates that a metric has made round."""

SMALLEST_STD = 1e-150
"""Std of a coordinate in which no chain has moved: its square is still a positive number."""


class Kernel(Protocol):
    """One move of every chain in coordinates that the metric makes round."""

    def __call__(
        self, log_prob_and_score: LogDensityAndScore, state: State, step_size: Tensor, generator: Generator | None
    ) -> tuple[State, Info]: ...


@dataclass(frozen=True)
class ChainOptions:
    """How chains run.

    Args:
        target_acceptance_rate: that the warm-up adapts the step size to.
        chains: how many, as one batch.
        warmup: moves that adapt step size and metric, and are thrown away.
        draws: states of each chain.
        thin: moves from one draw to the next.
        full_mass: whether the metric is the covariance of all chains, or its diagonal.
        seed: of all randomness.
        progress: whether to show a bar.

    Raises:
        ValueError: for fewer than four draws, or another count below 1.
    """

    target_acceptance_rate: float
    chains: int
    warmup: int
    draws: int
    thin: int
    full_mass: bool
    seed: int
    progress: bool

    def __post_init__(self) -> None:
        least = {"chains": 1, "draws": DRAWS_OF_A_CHAIN, "thin": 1, "warmup": 1}
        check_counts({name: (getattr(self, name), count) for name, count in least.items()})


@torch.no_grad()
def sample_chains(run: Run, method: str, kernel: Kernel, options: ChainOptions) -> Draws:
    """Chains by a kernel that is fixed after the warm-up.

    Raises:
        ValueError: where no start has a finite density.
    """
    generator = torch.Generator(run.target.device).manual_seed(options.seed)
    draws, thin = options.draws, options.thin
    moves = options.warmup + draws * thin
    with tqdm(total=moves, desc=method, unit=" moves", disable=not options.progress) as bar:
        white, state, step_size = adapt(run.target, kernel, options, generator, bar)
        states, acceptance_rate = [], 0.0
        for _ in range(draws):
            for _ in range(thin):
                state, info = kernel(white.log_prob_and_score, state, step_size, generator)
                acceptance_rate += float(info.acceptance_rate.mean()) / (draws * thin)
                bar.update()
            states.append(white.unwhiten(state.x))
    attributes = {
        "acceptance_rate": acceptance_rate,
        "step_size": float(step_size),
        "warmup": options.warmup,
        "thin": thin,
    }
    return chain_draws(run, method, torch.stack(states, 1), attributes)


def adapt(
    target: Target, kernel: Kernel, options: ChainOptions, generator: Generator, bar: tqdm
) -> tuple[WhitenedTarget, State, Tensor]:
    """Coordinates that the metric makes round, the chains' state in them, and the step size, a scalar.

    In the first window every chain has a step size of its own, since dispersed starts may lie where the density is
    steep. The law of such chains is not the target's. The other windows share one. All windows are thrown away.
    """
    x = uniform_starts(target, options.chains, options.seed)
    identity = torch.eye(target.dim, dtype=torch.float64, device=target.device)
    white = WhitenedTarget(target, torch.zeros_like(identity[0]), identity, dtype=torch.float64)
    step_size = torch.full((options.chains,), FIRST_STEP_SIZE, dtype=torch.float64, device=target.device)
    state = init(white, white.whiten(x))
    length = max(options.warmup // WINDOWS, 1)
    for window in range(WINDOWS):
        states = []
        for move in range(length):
            state, info = kernel(white.log_prob_and_score, state, step_size, generator)
            step_size = adapted(step_size, info.acceptance_rate, move, options.target_acceptance_rate)
            if move >= length // 2:
                states.append(white.unwhiten(state.x))
            bar.update()
        step_size = step_size.median()
        if window < WINDOWS - 1 and options.chains * len(states) > 1:
            white = WhitenedTarget(target, *metric(torch.cat(states), options.full_mass), dtype=torch.float64)
            state = init(white, white.whiten(states[-1]))
            step_size = torch.full_like(step_size, STEP_SIZE_AFTER_METRIC)
    return white, state, step_size


def metric(states: Tensor, full_mass: bool) -> tuple[Tensor, Tensor]:
    """Mean ``(D,)`` and a lower factor ``(D, D)`` of the covariance of ``states: (N, D)``, or of its diagonal."""
    states = states.double()
    if full_mass:
        return states.mean(0), significant_scale_tril(states)
    return states.mean(0), states.std(0).clamp(min=SMALLEST_STD).diag()


def chain_draws(run: Run, method: str, states: Tensor, attributes: Mapping[str, float | int | str]) -> Draws:
    """The record of chains ``states: (chains, draws, D)``.

    Adds to the attributes ``rhat``, the largest split R-hat of an unconstrained coordinate, and ``ess``, the smallest
    effective sample size.
    """
    convergence = {
        "rhat": float(split_gelman_rubin(states).max()),
        "ess": float(effective_sample_size(states).min()),
    }
    return run.draws(method, states.flatten(0, 1), {**attributes, **convergence}, chains=len(states))
