"""Draws of many chains by a fixed kernel, how well they agree, and how they go on."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.chain_adaptation import Kernel
from amortized.mcmc.convergence import drift, least_ess, rank_normalized_rhat
from amortized.mcmc.metric import Metric
from amortized.mcmc.state import CountedDensity, LogDensityAndScore, State, init

MIXED, FEWEST_DRAWS = 1.05, 400
"""R-hat below which, and effective draws from which, draws of chains can be trusted. Groups of chains at 1.01 had
missed a third of the mass of rotated wells, single chains were at 1.65 there. With 400 draws a mean is known to a
twentieth of the std (Vehtari et al. 2021)."""

ENOUGH = 1_000
"""Effective draws from which chains end. With 64 chains R-hat is low at about the same time: split chains that are
worth n draws each have an R-hat near √(1 + 1/n), and 128 n = 1,250 gives 1.05."""

PLENTY = 4_000
"""Effective draws up to which chains go on where the draws will be theirs: as many as `sample` is asked for, as a rule.
A 5 % quantile of a Gaussian then has a standard error of 0.03 std. With 2,000 one of three runs of seeds, 28 sites, had
a quantile 0.2 std off."""

LENGTHENED = 50
"""Draws of each chain between two looks at the effective sample size of chains that go on, at the least."""

RECENT = 100
"""Last states that are kept with their scores: a new metric is made from them."""

HOPELESS = 1.3
"""R-hat from which draws of chains are of no use: wells are at 2 to 3 for ever."""

MOST_NUMBERS = 40_000_000
"""Numbers that are kept of the draws, 160 MB in float32: beyond, every second draw is dropped."""


@dataclass(frozen=True, eq=False)
class Chains:
    """Chains after their warm-up, with the kernel that made them.

    Args:
        draws: ``(C, N, D)`` in the target's own coordinates and dtype.
        log_prob: log R there, ``(C, N)`` in nats.
        last: the state after the last move.
        rhat: largest split R-hat over single chains, rank-normalised.
        ess: smallest effective sample size of a coordinate, of its ranks and of its 5 and 95 % quantiles.
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
        """Whether R-hat is under 1.05, and the effective sample size at least 400."""
        return self.rhat < MIXED and self.ess >= FEWEST_DRAWS

    @property
    def usable(self) -> bool:
        """Whether R-hat is under 1.3: draws to train on, better than those of a mixture that fits badly."""
        return self.rhat < HOPELESS

    @property
    def status(self) -> str:
        """How many chains, how long, and how well they agree; one sentence without a full stop."""
        count, number, _ = self.draws.shape
        wanted = "" if self.converged else f" (should be below {MIXED} and at least {FEWEST_DRAWS})"
        return (
            f"{count} chains of {number} draws, after {self.moves - number * self.thin} moves of warm-up, have R-hat "
            f"{self.rhat:.3f} and {self.ess:,.0f} effective draws{wanted}"
        )

    def continued(
        self,
        target: CountedDensity,
        moves: int,
        generator: Generator | None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Chains:
        """The same chains with ``moves`` more draws each, by the same kernel; fewer if ``stop()`` says yes."""
        calls, began = target.calls, time.perf_counter()
        record = Recorder(target, self.kernel, generator, self.thin, most=math.inf)
        last = record.run(self.last, moves * self.thin, stop)
        draws = torch.cat([self.draws, record.draws()[0]], 1)
        log_prob = torch.cat([self.log_prob, record.draws()[1]], 1)
        return replace(
            self,
            draws=draws,
            log_prob=log_prob,
            last=last,
            rhat=rank_normalized_rhat(draws),
            ess=least_ess(draws),
            drift=drift(draws),
            moves=self.moves + record.moves,
            target_calls=self.target_calls + target.calls - calls,
            seconds=self.seconds + time.perf_counter() - began,
        )

    def lengthened(
        self, target: CountedDensity, enough: float, generator: Generator | None, stop: Callable[[], bool]
    ) -> Chains:
        """The chains after as many more moves as ``enough`` effective draws need, or until ``stop()`` says yes."""
        chains = self
        while chains.ess < enough and not stop():
            chains = chains.continued(target, max(LENGTHENED, chains.draws.shape[1] // 4), generator, stop)
        return chains

    def kernel_moves(
        self, target: CountedDensity, x: Tensor, moves: int, generator: Generator | None, stop: Callable[[], bool]
    ) -> Tensor:
        """At most ``moves`` states ``(C', moves, D)`` of other chains by the same kernel, from ``x: (C', D)``."""
        record = Recorder(target, self.kernel, generator)
        record.run(init(in_float64(target), x.double()), moves, stop)
        return record.draws()[0]


class Recorder:
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
        """At most ``moves`` moves; ``stop()`` is asked after each kept draw, so that there is one at the least."""
        density = in_float64(self.target)
        for _ in range(moves):
            state, info = self.kernel.move(density, state, self.generator)
            self.moves += 1
            self.accepted += float(info.acceptance_rate.mean())
            self.recent = [*self.recent[1 - RECENT :], state]
            if self.moves % self.thin:
                continue
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


def in_float64(target: CountedDensity) -> LogDensityAndScore:
    """In float64: far from the origin float32 would lose the digits of a small step."""

    def density(x: Tensor) -> tuple[Tensor, Tensor]:
        value, score = target.log_prob_and_score(x.to(target.dtype))
        return value.double(), score.double()

    return density
