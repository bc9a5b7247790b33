"""Many chains at once, as one batch: the warm-up and the loop that MALA and HMC share, and the record of any chains."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Protocol

import torch
from pyro.ops.stats import effective_sample_size, split_gelman_rubin
from tqdm.auto import tqdm

from amortized._types import Generator, Tensor
from amortized.baselines.counts import DRAWS_OF_A_CHAIN, check_counts
from amortized.baselines.starts import dispersed_starts
from amortized.mcmc.state import Info, LogDensityAndScore, State, adapted, init
from amortized.mixtures.covariance import significant_scale_tril
from amortized.results.draws import Draws
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Target

WINDOWS = 4
"""Parts of the warm-up: a new metric after each but the last, which adapts the step alone."""


class Kernel(Protocol):
    """One move of every chain in coordinates that the metric makes round."""

    def __call__(
        self, log_prob_and_score: LogDensityAndScore, state: State, step_size: Tensor, generator: Generator | None
    ) -> tuple[State, Info]: ...


@torch.no_grad()
def run_chains(
    method: str,
    target: Target,
    kernel: Kernel,
    target_acceptance_rate: float,
    *,
    chains: int,
    warmup: int,
    draws: int,
    thin: int,
    full_mass: bool,
    seed: int,
    progress: bool,
) -> Draws:
    """``chains`` chains of ``draws`` states each, ``thin`` moves apart, by a kernel that is fixed after ``warmup``.

    The chains of the warm-up together give the metric, their covariance or its diagonal, and one step size.
    Raises ``ValueError`` for under four draws, other counts below 1, and where no start has a finite density.
    """
    check_counts({"chains": (chains, 1), "draws": (draws, DRAWS_OF_A_CHAIN), "thin": (thin, 1), "warmup": (warmup, 1)})
    started, calls = time.perf_counter(), target.calls
    generator = torch.Generator(target.device).manual_seed(seed)
    bar = tqdm(total=warmup + draws * thin, desc=method, unit=" moves", disable=not progress)
    with bar:
        white, state, step_size = adapt(target, kernel, target_acceptance_rate, chains, warmup, full_mass, generator, bar)
        kept, acceptance = [], 0.0
        for _ in range(draws):
            for _ in range(thin):
                state, info = kernel(white.log_prob_and_score, state, step_size, generator)
                acceptance += float(info.acceptance_rate.mean()) / (draws * thin)
                bar.update()
            kept.append(white.unwhiten(state.x))
    attributes = {"acceptance_rate": acceptance, "step_size": float(step_size), "warmup": warmup, "thin": thin}
    return chain_draws(method, target, torch.stack(kept, 1), started, target.calls - calls, attributes)


def adapt(
    target: Target,
    kernel: Kernel,
    target_acceptance_rate: float,
    chains: int,
    warmup: int,
    full_mass: bool,
    generator: Generator,
    bar: tqdm,
) -> tuple[WhitenedTarget, State, Tensor]:
    """Coordinates with an identity metric, the chains' state in them, and the step size, a scalar.

    In the first window every chain has a step of its own, since dispersed starts may lie where the density is steep:
    its law is not the target's. The other windows share one step, and all of them are thrown away.
    """
    x = dispersed_starts(target, chains, generator.initial_seed())
    identity = torch.eye(target.dim, dtype=torch.float64, device=target.device)
    white = WhitenedTarget(target, torch.zeros_like(identity[0]), identity, dtype=torch.float64)
    step_size = torch.full((chains,), 0.1, dtype=torch.float64, device=target.device)
    state = init(white, white.whiten(x))
    length = max(warmup // WINDOWS, 1)
    for window in range(WINDOWS):
        seen = []
        for move in range(length):
            state, info = kernel(white.log_prob_and_score, state, step_size, generator)
            step_size = adapted(step_size, info.acceptance_rate, move, target_acceptance_rate)
            if move >= length // 2:
                seen.append(white.unwhiten(state.x))
            bar.update()
        step_size = step_size.median()
        if window < WINDOWS - 1 and chains * len(seen) > 1:
            x = seen[-1]
            white = WhitenedTarget(target, *metric(torch.cat(seen), full_mass), dtype=torch.float64)
            state, step_size = init(white, white.whiten(x)), torch.full_like(step_size, 0.3)
    return white, state, step_size


def metric(states: Tensor, full_mass: bool) -> tuple[Tensor, Tensor]:
    """Mean ``(D,)`` and a lower factor ``(D, D)`` of the covariance of ``states: (N, D)``, or of its diagonal."""
    states = states.double()
    if full_mass:
        return states.mean(0), significant_scale_tril(states)
    return states.mean(0), states.std(0).clamp(min=1e-150).diag()


def chain_draws(
    method: str,
    target: Target,
    states: Tensor,
    started: float,
    target_calls: int,
    attributes: Mapping[str, float | int | str],
) -> Draws:
    """The record of chains ``states: (chains, draws, D)``, begun at ``started`` on the clock ``time.perf_counter``.

    Adds ``rhat``, the largest split R-hat of a coordinate, and ``ess``, the smallest effective sample size, both in
    unconstrained space.
    """
    flat = states.flatten(0, 1)
    return Draws(
        sites=target.constrain(flat),
        method=method,
        states=flat,
        target=target,
        chains=len(states),
        seconds=time.perf_counter() - started,
        target_calls=target_calls,
        attributes={
            **attributes,
            "rhat": float(split_gelman_rubin(states).max()),
            "ess": float(effective_sample_size(states).min()),
        },
    )
