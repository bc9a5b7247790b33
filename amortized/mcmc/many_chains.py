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

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.chain_adaptation import (
    FIRST_STEP_SIZE,
    Kernel,
    Moved,
    adapting,
    better_metric,
    windows,
)
from amortized.mcmc.chain_record import ENOUGH, HOPELESS, MIXED, Chains, Recorder, in_float64
from amortized.mcmc.convergence import agreement, are_apart, drift, least_ess, rank_normalized_rhat
from amortized.mcmc.metric import Metric, covariance_metric
from amortized.mcmc.state import CountedDensity, init

CHAINS = 64
"""Chains, as one batch: a batch of 64 costs hardly more than one of 16, and 64 single chains show what each misses."""

WARM_UP, LAST_METRIC = 0.4, 0.6
"""Parts of the budget after which the windows end, however short they are, and after which no metric is made anew."""

STEP_SIZE_MOVES, STEP_SIZE_SHARE = 40, 0.15
"""Moves, and part of the budget, in which chains that start from draws find their step size. The metric is known."""

ROUND_STEP_SIZE = 1.2
"""Times ``D^-1/4``, it is the step size at which a Gaussian in round coordinates accepts four of five proposals."""

STRETCH, LONGER = 150, 1.5
"""Moves with a fixed kernel after which chains that are not mixed get a new metric, and their growth. On a horseshoe
the best metric of the first 200 moves was half as fast as that of the next 200."""

PATIENCE, SLOW = 1_000, 1.6
"""Moves after which chains end if R-hat is still over 1.6, as they do after 60 % of their time: a horseshoe was at 1.06
after 1,100 moves. Item response was at 1.36 after 60 % of the time, and at 1.06 after all of it."""

ROUND = 50
"""Moves between two looks at R-hat, at the least."""


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
    clock, state = _Clock(target, seconds, max_calls), init(in_float64(target), starts.double())
    own = torch.full((len(starts),), FIRST_STEP_SIZE, dtype=torch.float64, device=starts.device)
    kernel = Kernel(Metric("none", torch.ones_like(state.x[0])), own)
    moved, moves = windows(in_float64(target), state, kernel, generator, clock.spent, WARM_UP)
    return _sampled(target, moved, moves, clock, generator)


@torch.no_grad()
def chains_from(
    draws: Tensor,
    target: CountedDensity,
    seconds: float,
    generator: Generator | None,
    max_calls: float = math.inf,
    metric: Metric | None = None,
) -> Chains:
    """Chains that start from draws ``(N, D)``, at the most 64 of them.

    The first metric is that of the covariance of all draws, if none is given. It stays as long as the chains mix: only
    the step size is adapted, in a short window. All chains share it from the first move on. Draws that are the target's
    stay so, up to an order of 1/C. ``drift`` tells whether the chains have moved away together.
    """
    clock, x, density = _Clock(target, seconds, max_calls), draws.double(), in_float64(target)
    state = init(density, x[torch.randperm(len(x), generator=generator, device=x.device)[:CHAINS]])
    step_size = torch.tensor(ROUND_STEP_SIZE * x.shape[1] ** -0.25, dtype=torch.float64, device=x.device)
    kernel = Kernel(covariance_metric(x) if metric is None else metric, step_size)
    moved = adapting(density, state, kernel, STEP_SIZE_MOVES, generator, lambda: clock.spent() > STEP_SIZE_SHARE)
    return _sampled(target, moved, len(moved.states), clock, generator)


def _sampled(target: CountedDensity, moved: Moved, moves: int, clock: _Clock, generator: Generator | None) -> Chains:
    """Draws by a fixed kernel, after ``moves`` of warm-up; it is made anew as long as the chains do not mix."""
    density = in_float64(target)
    state, record, look, stretch = moved.state, Recorder(target, moved.kernel, generator), 2 * ROUND, STRETCH
    while True:
        state = record.run(state, look - record.moves, clock.over)
        draws, log_prob = record.draws()
        rhat, ess = agreement(draws, MIXED)
        late = clock.spent() > LAST_METRIC or moves + record.moves > PATIENCE
        # the plain R-hat of heavy tails is far higher than that of ranks, which decides
        if clock.over() or ess >= ENOUGH or (late and rhat > SLOW and rank_normalized_rhat(draws) > SLOW):
            break
        if rhat > HOPELESS and are_apart(draws, HOPELESS):
            break
        if rhat >= MIXED and record.moves >= stretch and clock.spent() < LAST_METRIC:
            moves += record.moves
            moved = better_metric(density, state, record.recent, generator, clock.over)
            moves += len(moved.states)
            moved = adapting(density, moved.state, moved.kernel, ROUND, generator, clock.over)
            moves += len(moved.states)
            state, record = moved.state, Recorder(target, moved.kernel, generator)
            look, stretch = 2 * ROUND, int(LONGER * stretch)
            continue
        # a look costs a sort of all draws: the next comes after a quarter more of them
        look += max(ROUND, look // 4)
    return Chains(
        draws=draws,
        log_prob=log_prob,
        last=state,
        rhat=rank_normalized_rhat(draws),
        ess=ess or least_ess(draws),
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
