"""Many HMC chains side by side: they adapt together, and are compared one by one.

1. In the first window every chain has a step size of its own: dispersed starts may lie where the density is steep.
2. After each window a metric is made from all chains: their covariance, or its geometric mean with the inverse
   covariance of the scores. Both are tried, and the better is kept.
3. The chains then run with a fixed kernel until R-hat and the effective sample size are good, or the time is over.
   Where R-hat is not good after 150 moves, all draws are thrown away and the metric is made anew. The next stretch is
   half as long again.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.chain_adaptation import (
    FIRST_STEP_SIZE,
    STEP_SIZE_AFTER_METRIC,
    Kernel,
    adapting,
    better_metric,
    windows,
)
from amortized.mcmc.convergence import agreement, bulk_ess, drift, rank_normalized_rhat
from amortized.mcmc.metric import Metric, covariance_metric
from amortized.mcmc.state import CountedDensity, LogDensityAndScore, State, init

CHAINS = 64
"""Chains, as one batch: a batch of 64 costs hardly more than one of 16, and 64 single chains show what each misses."""

WARM_UP, LAST_METRIC = 0.4, 0.6
"""Parts of the budget after which the windows end, however short they are, and after which no metric is made anew."""

STRETCH, LONGER = 150, 1.5
"""Moves with a fixed kernel after which chains that are not mixed get a new metric, and their growth. On a horseshoe
the best metric of the first 200 moves was half as fast as that of the next 200."""

MIXED, ENOUGH = 1.05, 1_000
"""R-hat below which, and effective draws from which, chains end. With 64 chains both are reached at about the same
time: split chains that are worth n draws each have an R-hat near √(1 + 1/n), and 128 n = 1,250 gives 1.05."""

ROUND = 50
"""Moves between two looks at R-hat, at the least."""

MOST_NUMBERS = 40_000_000
"""Numbers that are kept of the draws, 160 MB in float32: beyond, every second draw is dropped."""

HOPELESS, PATIENCE = 1.3, 1_000
"""R-hat over which chains end after 60 % of their time, or after so many moves: wells are at 2 to 3 for ever, and a
horseshoe was at 1.06 after 1,100 moves."""


@dataclass(frozen=True, eq=False)
class Chains:
    """Chains after their warm-up, with the kernel that made them.

    Args:
        draws: ``(C, N, D)`` in the target's own coordinates and dtype.
        log_prob: log R there, ``(C, N)`` in nats.
        last: the state after the last move.
        rhat: largest split R-hat over single chains, rank-normalised.
        ess: smallest bulk effective sample size of a coordinate.
        drift: z-value by which the chains have moved together from their first quarter to their last.
        acceptance_rate: of the kept moves.
        kernel: the metric and the step size, fixed while the draws were made.
        thin: moves from one draw to the next.
        moves: of every chain, with the warm-up.
        target_calls: of all chains.
        seconds: wall clock.
    """

    draws: Tensor
    log_prob: Tensor
    last: State
    rhat: float
    ess: float
    drift: float
    acceptance_rate: float
    kernel: Kernel
    thin: int
    moves: int
    target_calls: int
    seconds: float

    @property
    def metric(self) -> Metric:
        """What the mass matrix was made from, and its factor."""
        return self.kernel.metric

    @property
    def step_size(self) -> float:
        """ε, in units of the metric."""
        return float(self.kernel.step_size)

    @property
    def converged(self) -> bool:
        """Whether R-hat is under 1.05, and the effective sample size at least 1,000."""
        return self.rhat < MIXED and self.ess >= ENOUGH

    @property
    def usable(self) -> bool:
        """Whether R-hat is under 1.3: draws to train on, better than those of a mixture that fits badly."""
        return self.rhat < HOPELESS

    @property
    def status(self) -> str:
        """How many chains, how long, and how well they agree; one sentence without a full stop."""
        count, number, _ = self.draws.shape
        wanted = "" if self.converged else f" (should be below {MIXED} and at least {ENOUGH:,})"
        return (
            f"{count} chains of {number} draws, after {self.moves - number * self.thin} moves of warm-up, have R-hat "
            f"{self.rhat:.3f} and {self.ess:,.0f} effective draws{wanted}"
        )

    def continued(self, target: CountedDensity, moves: int, generator: Generator | None) -> Chains:
        """The same chains with ``moves`` more draws each, by the same kernel."""
        calls, began = target.calls, time.perf_counter()
        record = _Record(target, self.kernel, generator, self.thin, most=math.inf)
        last = record.run(self.last, moves * self.thin, lambda: False)
        draws = torch.cat([self.draws, record.draws()[0]], 1)
        log_prob = torch.cat([self.log_prob, record.draws()[1]], 1)
        return replace(
            self,
            draws=draws,
            log_prob=log_prob,
            last=last,
            rhat=rank_normalized_rhat(draws),
            ess=bulk_ess(draws),
            drift=drift(draws),
            moves=self.moves + moves * self.thin,
            target_calls=self.target_calls + target.calls - calls,
            seconds=self.seconds + time.perf_counter() - began,
        )

    def kernel_moves(self, target: CountedDensity, x: Tensor, moves: int, generator: Generator | None) -> Tensor:
        """``moves`` states ``(C', moves, D)`` of other chains by the same kernel, from starts ``x: (C', D)``."""
        record = _Record(target, self.kernel, generator)
        record.run(init(_density(target), x.double()), moves, lambda: False)
        return record.draws()[0]


@torch.no_grad()
def run_chains(
    target: CountedDensity, starts: Tensor, seconds: float, generator: Generator | None, max_calls: float = math.inf
) -> Chains:
    """Chains from ``starts: (C, D)``, one each, until they agree and are long enough, or the time is over.

    Args:
        target: the density.
        starts: points of finite density, dispersed: R-hat sees what they join.
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
    clock, state = _Clock(target, seconds, max_calls), init(_density(target), starts.double())
    own = torch.full((len(starts),), FIRST_STEP_SIZE, dtype=torch.float64, device=starts.device)
    return _sampled(target, state, Kernel(Metric("none", torch.ones_like(state.x[0])), own), clock, generator)


@torch.no_grad()
def chains_from(
    draws: Tensor, target: CountedDensity, seconds: float, generator: Generator | None, max_calls: float = math.inf
) -> Chains:
    """Chains that start from draws, at the most 64 of ``(N, D)``; the covariance of all is the first metric.

    All chains share a step size from the first move on. Draws that are the target's stay so, up to an order of 1/C.
    ``drift`` tells whether the chains have moved away together.
    """
    clock, x = _Clock(target, seconds, max_calls), draws.double()
    order = torch.randperm(len(x), generator=generator, device=x.device)[:CHAINS]
    step_size = torch.tensor(STEP_SIZE_AFTER_METRIC, dtype=torch.float64, device=x.device)
    state = init(_density(target), x[order])
    return _sampled(target, state, Kernel(covariance_metric(x), step_size), clock, generator)


def _sampled(
    target: CountedDensity, state: State, kernel: Kernel, clock: _Clock, generator: Generator | None
) -> Chains:
    """The windows, then draws by a fixed kernel."""
    density = _density(target)
    moved, moves = windows(density, state, kernel, generator, clock.spent, WARM_UP)
    state, record, look, stretch = moved.state, _Record(target, moved.kernel, generator), 2 * ROUND, STRETCH
    while True:
        state = record.run(state, look - record.moves, clock.over)
        draws, log_prob = record.draws()
        rhat, ess = agreement(draws, MIXED)
        late = clock.spent() > LAST_METRIC or moves + record.moves > PATIENCE
        if clock.over() or ess >= ENOUGH or (rhat > HOPELESS and late):
            break
        if rhat >= MIXED and record.moves >= stretch and clock.spent() < LAST_METRIC:
            moves += record.moves
            moved = better_metric(density, state, record.recent, generator, clock.over)
            moves += len(moved.states)
            moved = adapting(density, moved.state, moved.kernel, ROUND, generator, clock.over)
            moves += len(moved.states)
            state, record = moved.state, _Record(target, moved.kernel, generator)
            look, stretch = 2 * ROUND, int(LONGER * stretch)
            continue
        # a look costs a sort of all draws: the next comes after a quarter more of them
        look += max(ROUND, look // 4)
    return Chains(
        draws=draws,
        log_prob=log_prob,
        last=state,
        rhat=rank_normalized_rhat(draws),
        ess=ess or bulk_ess(draws),
        drift=drift(draws),
        acceptance_rate=record.acceptance_rate,
        kernel=record.kernel,
        thin=record.thin,
        moves=moves + record.moves,
        target_calls=clock.calls,
        seconds=clock.seconds,
    )


class _Clock:
    """What part of the seconds and calls is spent."""

    def __init__(self, target: CountedDensity, seconds: float, max_calls: float):
        self.target, self.most_seconds, self.max_calls = target, seconds, max_calls
        self.began, self.before = time.perf_counter(), target.calls

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    @property
    def calls(self) -> int:
        return self.target.calls - self.before

    def spent(self) -> float:
        return max(self.seconds / self.most_seconds, self.calls / self.max_calls)

    def over(self) -> bool:
        return self.spent() >= 1.0


class _Record:
    """States of chains with a fixed kernel; of too many every second is dropped."""

    def __init__(
        self,
        target: CountedDensity,
        kernel: Kernel,
        generator: Generator | None,
        thin: int = 1,
        most: float = MOST_NUMBERS,
    ):
        self.target, self.kernel, self.generator, self.thin, self.most = target, kernel, generator, thin, most
        self.kept: list[tuple[Tensor, Tensor]] = []
        self.recent: list[State] = []
        self.moves, self.accepted = 0, 0.0

    @property
    def acceptance_rate(self) -> float:
        return self.accepted / max(self.moves, 1)

    def run(self, state: State, moves: int, stop: Callable[[], bool]) -> State:
        """At most ``moves`` moves, one at the least."""
        density = _density(self.target)
        for _ in range(moves):
            state, info = self.kernel.move(density, state, self.generator)
            self.moves += 1
            self.accepted += float(info.acceptance_rate.mean())
            self.recent = [*self.recent[-2 * ROUND + 1 :], state]
            if self.moves % self.thin == 0:
                self.kept.append((state.x.to(self.target.dtype), state.log_prob))
            if len(self.kept) * state.x.numel() > self.most:
                self.kept, self.thin = self.kept[1::2], 2 * self.thin
            if stop():
                break
        return state

    def draws(self) -> tuple[Tensor, Tensor]:
        """``(C, N, D)`` and log R ``(C, N)``."""
        x, log_prob = zip(*self.kept, strict=True)
        return torch.stack(x, 1), torch.stack(log_prob, 1)


def _density(target: CountedDensity) -> LogDensityAndScore:
    """In float64: far from the origin float32 would lose the digits of a small step."""

    def density(x: Tensor) -> tuple[Tensor, Tensor]:
        value, score = target.log_prob_and_score(x.to(target.dtype))
        return value.double(), score.double()

    return density
