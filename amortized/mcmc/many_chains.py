"""Many HMC chains side by side: they adapt together, and are compared one by one.

1. In the first window every chain has a step size of its own: dispersed starts may lie where the density is steep.
2. After each window a metric is made from all chains: their covariance, or its geometric mean with the inverse
   covariance of the scores. Both are tried, and the one with the longer step is kept.
3. The chains then run with a fixed kernel until R-hat and the effective sample size are good, or the time is over.
   As long as R-hat is not, the older half is thrown away whenever the chains have doubled, and the metric made anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc import hmc
from amortized.mcmc.convergence import bulk_ess, rank_normalized_rhat
from amortized.mcmc.metric import Metric, covariance_metric, geometric_metric
from amortized.mcmc.state import State, adapted, init
from amortized.targets.base import Target

WINDOWS = (40, 60, 80, 120)
"""Moves of the windows of the warm-up at the most."""

WARM_UP = 0.5
"""Part of the time after which the windows end, however short they are."""

MIXED, ENOUGH = 1.03, 1_000
"""R-hat below which, and effective draws from which, chains end. The verdict's limits are 1.05 and 400."""

FIRST_LOOK = 100
"""Moves before the first look at R-hat; a look is made after every half more."""

SETTLING = 50
"""Moves that adapt the step size to a metric that was made anew."""

DRAWS_AT_LEAST = 4
"""States of a chain below which R-hat and ESS are not computed."""

TRIAL = 12
"""Moves in which a metric finds its step size."""

MOST_STEPS = 16
"""Leapfrog steps of a trajectory at the most."""

FIRST_STEP_SIZE, STEP_SIZE_AFTER_METRIC = 0.1, 0.3
"""Where adaptation starts: before the scale is known, and in coordinates that a metric has made round."""

STATES = 10_000
"""States of all chains from which a metric is made, at the most: fifty for each dimension where it is dense."""

COMPARED = 128
"""States of each chain in which R-hat is looked for: its error is then a hundredth of what separate chains show."""


class Kernel(NamedTuple):
    """A metric, and a step size in its units: a scalar, or one for each chain."""

    metric: Metric
    step_size: Tensor


@dataclass(frozen=True, eq=False)
class Chains:
    """Chains after their warm-up, with the kernel that made them.

    Args:
        draws: ``(C, N, D)`` in the target's own coordinates.
        log_prob: log R there, ``(C, N)`` in nats.
        last: the state after the last draw.
        rhat: largest split R-hat over single chains, rank-normalised.
        ess: smallest bulk effective sample size of a coordinate.
        acceptance_rate: of the kept moves.
        step_size: ε, in units of the metric.
        metric: what the mass matrix was made from, and its factor.
        moves: of every chain, with the warm-up.
        target_calls: of all chains.
        seconds: wall clock.
    """

    draws: Tensor
    log_prob: Tensor
    last: State
    rhat: float
    ess: float
    acceptance_rate: float
    step_size: float
    metric: Metric
    moves: int
    target_calls: int
    seconds: float

    @property
    def converged(self) -> bool:
        """Whether R-hat is under 1.03, and the effective sample size at least 1,000."""
        return self.rhat < MIXED and self.ess >= ENOUGH

    @property
    def status(self) -> str:
        count, number, _ = self.draws.shape
        return (
            f"{count} chains of {number} draws after {self.moves - number} moves have R-hat {self.rhat:.3f} and "
            f"{self.ess:,.0f} effective draws"
        )

    def continued(self, target: Target, moves: int, generator: Generator | None) -> Chains:
        """The same chains after ``moves`` more moves by the same kernel, all kept."""
        kernel = Kernel(self.metric, torch.tensor(self.step_size, dtype=torch.float64, device=self.draws.device))
        state, kept, _ = _Mover(target, generator).run(self.last, kernel, moves)
        draws = torch.cat([self.draws, torch.stack([each.x for each in kept], 1).to(self.draws)], 1)
        log_prob = torch.cat([self.log_prob, torch.stack([each.log_prob for each in kept], 1)], 1)
        return replace(
            self,
            draws=draws,
            log_prob=log_prob,
            last=state,
            rhat=rank_normalized_rhat(draws),
            ess=bulk_ess(draws),
            moves=self.moves + moves,
        )

    def kernel_moves(self, target: Target, x: Tensor, moves: int, generator: Generator | None) -> Tensor:
        """``moves`` states ``(C', moves, D)`` of other chains by the same kernel, from starts ``x: (C', D)``."""
        mover = _Mover(target, generator)
        kernel = Kernel(self.metric, torch.tensor(self.step_size, dtype=torch.float64, device=self.draws.device))
        _, kept, _ = mover.run(init(mover.density, x.double()), kernel, moves)
        return torch.stack([each.x for each in kept], 1).to(self.draws)


class _Mover:
    """Moves all chains at once, and asks the clock after every move."""

    def __init__(self, target: Target, generator: Generator | None, spent: Callable[[], float] = lambda: 0.0):
        self.target, self.generator, self.spent = target, generator, spent

    def density(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """In float64: far from the origin float32 would lose the digits of a small step."""
        value, score = self.target.log_prob_and_score(x.to(self.target.dtype))
        return value.double(), score.double()

    def move(self, state: State, kernel: Kernel) -> tuple[State, Tensor]:
        num_steps = hmc.quarter_period(float(kernel.step_size.median()), MOST_STEPS)
        jittered = kernel.step_size * hmc.jitter(state.log_prob, self.generator)
        state, info = hmc.step(self.density, state, jittered, kernel.metric.factor, num_steps, self.generator)
        return state, info.acceptance_rate

    def run(self, state: State, kernel: Kernel, moves: int) -> tuple[State, list[State], list[float]]:
        """Moves by a fixed kernel: the last state, all states, and mean acceptance rates."""
        kept, rates = [], []
        for _ in range(moves):
            state, rate = self.move(state, kernel)
            kept.append(state)
            rates.append(float(rate.mean()))
            if self.spent() >= 1.0:
                break
        return state, kept, rates

    def adapt(self, state: State, kernel: Kernel, moves: int, until: float = 1.0) -> tuple[State, Kernel, list[State]]:
        """Moves that adapt the step size; they end where ``spent()`` reaches ``until``."""
        kept = []
        for move in range(moves):
            state, rate = self.move(state, kernel)
            kernel = kernel._replace(step_size=adapted(kernel.step_size, rate, move, hmc.TARGET_ACCEPTANCE_RATE))
            kept.append(state)
            if self.spent() >= until:
                break
        return state, kernel, kept

    def with_best_metric(self, state: State, kept: list[State]) -> tuple[State, Kernel]:
        """Of two metrics from the states that one whose step size is longer after a few moves."""
        x, score = (torch.cat([getattr(each, name) for each in kept]) for name in ("x", "score"))
        thin = max(1, len(x) // STATES)
        first = torch.tensor(STEP_SIZE_AFTER_METRIC, dtype=torch.float64, device=x.device)
        metrics = covariance_metric(x[::thin]), geometric_metric(x[::thin], score[::thin])
        tried = [self.adapt(state, Kernel(metric, first), TRIAL) for metric in metrics]
        after, kernel, _ = max(tried, key=lambda each: float(each[1].step_size))
        return after, kernel


@torch.no_grad()
def run_chains(
    target: Target, starts: Tensor, seconds: float, generator: Generator | None, max_calls: float = float("inf")
) -> Chains:
    """Chains from ``starts: (C, D)``, one each, until they agree and are long enough, or the time is over.

    Args:
        target: the density.
        starts: points of finite density.
        seconds: of wall clock.
        generator: source of randomness.
        max_calls: of the target at the most.

    >>> from amortized.targets.callable import DensityTarget
    >>> normal = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=2)
    >>> generator = torch.Generator().manual_seed(0)
    >>> found = run_chains(normal, 5 * torch.randn(16, 2, generator=generator), 10.0, generator)
    >>> found.converged
    True
    """
    began, calls = time.perf_counter(), target.calls

    def spent() -> float:
        return max((time.perf_counter() - began) / seconds, (target.calls - calls) / max_calls)

    mover = _Mover(target, generator, spent)
    state, kernel, moves = _warmed_up(mover, starts.double())
    kept: list[State] = []
    acceptance: list[float] = []
    look = FIRST_LOOK
    while True:
        state, more, rates = mover.run(state, kernel, look - len(kept))
        kept, acceptance, moves = kept + more, acceptance + rates, moves + len(more)
        rhat, ess = _figures(torch.stack([each.x for each in kept], 1))
        if spent() >= 1.0 or (rhat < MIXED and ess >= ENOUGH):
            break
        look = len(kept) + max(FIRST_LOOK // 2, len(kept) // 2)
        if rhat >= MIXED and len(kept) > FIRST_LOOK and spent() < WARM_UP:
            state, kernel = mover.with_best_metric(state, kept[len(kept) // 2 :])
            state, kernel, _ = mover.adapt(state, kernel, SETTLING)
            kept, acceptance, look, moves = [], [], len(kept), moves + TRIAL + SETTLING
    return Chains(
        draws=torch.stack([each.x for each in kept], 1).to(target.dtype),
        log_prob=torch.stack([each.log_prob for each in kept], 1),
        last=state,
        rhat=rhat,
        ess=ess,
        acceptance_rate=sum(acceptance) / len(acceptance),
        step_size=float(kernel.step_size),
        metric=kernel.metric,
        moves=moves,
        target_calls=target.calls - calls,
        seconds=time.perf_counter() - began,
    )


def _warmed_up(mover: _Mover, starts: Tensor) -> tuple[State, Kernel, int]:
    """State, kernel and number of moves after windows that adapt the step size and the metric."""
    state, ones = init(mover.density, starts), torch.ones_like(starts[0])
    kernel, moves, until = Kernel(Metric("none", ones), torch.full_like(starts[:, 0], FIRST_STEP_SIZE)), 0, 0.0
    for window in WINDOWS:
        until += WARM_UP * window / sum(WINDOWS)
        state, kernel, kept = mover.adapt(state, kernel, window, until)
        kernel, moves = kernel._replace(step_size=kernel.step_size.median()), moves + len(kept)
        if window != WINDOWS[-1]:
            state, kernel = mover.with_best_metric(state, kept[len(kept) // 2 :])
            moves += TRIAL
    return state, kernel, moves


def _figures(x: Tensor) -> tuple[float, float]:
    """R-hat and ESS; infinite and 0 of under four states a chain, of which neither says anything."""
    if x.shape[1] < DRAWS_AT_LEAST:
        return float("inf"), 0.0
    return rank_normalized_rhat(x[:, :: max(1, x.shape[1] // COMPARED)]), bulk_ess(x)


def chains_from(draws: Tensor, target: Target, seconds: float, generator: Generator | None) -> Chains:
    """Chains that start from draws ``(C, D)``."""
    return run_chains(target, draws, seconds, generator)
