"""Training that repairs: maximum likelihood on bridges, in rounds that move the draws towards the target.

1. Bridges are fitted to the given draws, until the likelihood of held-out draws no longer rises.
2. While the weights of fresh paths are uneven, a round follows. Even ones are weighed again, with as many paths more.
   In a round the paths are weighed by ``w^β``, with β as large as a stated effective sample size allows. They are
   resampled, moved by HMC, and bridges are fitted to them.
3. The policy with the best weights is kept.

The power keeps the step to the next law of draws short, as a trust region does. HMC moves leave the target unchanged,
so draws of the target stay draws of it.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc import hmc
from amortized.mcmc.state import State, adapted
from amortized.path import paths_at_once
from amortized.processes.linear import LinearProcess
from amortized.samplers import DiffusionSampler
from amortized.targets.affine import WhitenedTarget
from amortized.training.bridging import fit_to_draws
from amortized.training.evaluation import Evaluation, evaluation_of, reverse_log_weights
from amortized.weights import effective_sample_fraction, systematic

ENOUGH = 0.2
"""Effective share of fresh paths from which no round follows, and that of ``w^β``: 800 of 4,096 ends then count."""
PATHS = 4_096
"""Fresh paths of a round at the most: a second of an optimiser's steps costs about as much."""
CHUNK = 512
"""Paths, or scores, between two looks at the clock."""
MOVES, LEAPFROGS, FIRST_STEP_SIZE = 10, 4, 0.2
"""HMC moves of the resampled ends, in whitened coordinates: they part the copies that resampling made."""
FIRST, EACH, LEAST = 0.35, 0.25, 1.0
"""Part of the time for the first bridges and for each round; no round starts with under a second left."""
PREPARING = 0.3
"""Part of a round's time after which fresh paths, moves and scores end."""
HELD_OUT = 512
"""Draws that never train: as many as ``Recipe.held_out``."""
BUFFER = 20_000
"""Draws that are kept; the oldest go first."""


@dataclass(frozen=True)
class Round:
    """Figures of one fit of bridges.

    Args:
        power: β of the weights that chose its draws; None for the draws that were given.
        draws: that it was fitted to.
        steps: of the optimiser.
        evaluation: of fresh paths after it, and of backward paths from held-out draws.
        seconds: from the start until after it.
    """

    power: float | None
    draws: int
    steps: int
    evaluation: Evaluation
    seconds: float


@dataclass(frozen=True)
class Repair:
    """What `proximal_rounds` did.

    Args:
        rounds: the first fit, then one record for each round.
        best: index of the round whose policy the sampler has now.
        draws: the last draws ``(N, D)`` in whitened coordinates, which the next bridges would be fitted to.
        status: one sentence about the outcome.
    """

    rounds: list[Round]
    best: int
    draws: Tensor
    status: str

    @property
    def evaluation(self) -> Evaluation:
        """Of the policy that was kept."""
        return self.rounds[self.best].evaluation


def proximal_rounds(
    sampler: DiffusionSampler,
    target: WhitenedTarget,
    draws: Tensor,
    seconds: float,
    generator: Generator | None = None,
    exact: bool = False,
    enough: float = ENOUGH,
) -> Repair:
    """Train a sampler by bridges to draws, and to better draws of its own while its weights are uneven.

    A fine grid costs bridges nothing: write ``GFlowNet(dim, steps=64)``. Each draw's score is asked once.

    Args:
        sampler: trained in place; its process has bridges in closed form.
        target: of D variables.
        draws: ``(N, D)`` of the target in whitened coordinates, in random order, right or not.
        seconds: of wall clock.
        generator: of all draws.
        exact: whether the draws come from converged chains: then they stay in the buffer, and judge every round.
        enough: effective share of fresh paths at which no round follows.

    Returns:
        The record; the sampler has the policy whose overlap was best.

    Raises:
        ValueError: no bridges in closed form, or fewer than two draws of finite density.

    >>> from amortized.samplers import GFlowNet
    >>> from amortized.targets.callable import DensityTarget
    >>> white = WhitenedTarget(DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=1), torch.zeros(1), torch.eye(1))
    >>> record = proximal_rounds(GFlowNet(1, steps=8, langevin=False), white, torch.randn(600, 1), 1.0)
    >>> record.evaluation.ess_fraction > 0.9
    True
    """
    clock, work = _Clock(seconds), _work(sampler, target, generator)
    held, buffer = work.split(work.scored(draws[:BUFFER], clock.after(PREPARING * FIRST * seconds)))
    kept, power, until = _Best(sampler), None, clock.after(FIRST * seconds)
    while True:
        steps = fit_to_draws(sampler, target, buffer, held, until, generator)
        ends, log_weights, evaluation = work.weighed(held, clock.after(PREPARING * EACH * seconds), enough)
        kept.add(Round(power, len(buffer.x), steps, evaluation, clock.spent))
        if evaluation.ess_fraction >= enough or clock.left < LEAST or not log_weights.isfinite().any():
            return Repair(kept.rounds, kept.restored(), buffer.x, _status(kept.rounds, kept.best, enough))
        until = clock.after(min(EACH * seconds, clock.left))
        power = tempering_power(log_weights, enough)
        newest, rest = work.resampled(ends, _powered(log_weights, power), clock.after(PREPARING * EACH * seconds))
        held = held if exact else newest
        buffer = _joined(buffer, rest) if exact or len(kept.rounds) > 1 else rest


class _Best:
    """The rounds so far, and the weights of the one with the most overlap."""

    def __init__(self, sampler: DiffusionSampler):
        self.sampler, self.best = sampler, 0
        self.rounds: list[Round] = []
        self.weights: dict[str, Tensor] = {}

    def add(self, found: Round) -> None:
        self.rounds.append(found)
        if found.evaluation.overlap >= self.rounds[self.best].evaluation.overlap:
            self.best, self.weights = len(self.rounds) - 1, copy.deepcopy(self.sampler.state_dict())

    def restored(self) -> int:
        """The index of the best round, whose weights the sampler has now."""
        self.sampler.load_state_dict(self.weights)
        return self.best


def _work(sampler: DiffusionSampler, target: WhitenedTarget, generator: Generator | None) -> _Work:
    process = sampler.process
    if not isinstance(process, LinearProcess):
        raise ValueError(f"{type(process).__name__} has no bridges in closed form: write GFlowNet(dim, steps=64)")
    return _Work(sampler, process, target, generator)


def tempering_power(log_weights: Tensor, share: float) -> float:
    """The largest β in [0, 1] for which the effective share of ``w^β`` is at least ``share``, to a millionth.

    >>> tempering_power(torch.zeros(10), 0.2), tempering_power(torch.tensor([0.0, -1e9]), 0.9) < 1e-6
    (1.0, True)
    """
    low, high = 0.0, 1.0
    if effective_sample_fraction(log_weights) >= share:
        return 1.0
    for _ in range(20):
        middle = 0.5 * (low + high)
        good = effective_sample_fraction(_powered(log_weights, middle)) >= share
        low, high = (middle, high) if good else (low, middle)
    return low


def _powered(log_weights: Tensor, power: float) -> Tensor:
    """``β log w``; a weight of zero stays zero at β = 0."""
    return torch.where(log_weights.isfinite(), power * log_weights, -torch.inf)


class _Clock:
    """Seconds since it was made, and of its time."""

    def __init__(self, seconds: float):
        self.began, self.seconds = time.perf_counter(), seconds

    @property
    def spent(self) -> float:
        return time.perf_counter() - self.began

    @property
    def left(self) -> float:
        return self.seconds - self.spent

    def after(self, seconds: float) -> float:
        """A deadline so many seconds from now, within the time."""
        return min(time.perf_counter() + seconds, self.began + self.seconds)


@dataclass(frozen=True)
class _Work:
    """The stages of a round; each takes a deadline in ``time.perf_counter()`` and asks it in its loop."""

    sampler: DiffusionSampler
    process: LinearProcess
    target: WhitenedTarget
    generator: Generator | None

    def scored(self, draws: Tensor, until: float) -> State:
        """Draws of finite density with log R and score: at least one chunk, and as many as the time allows."""
        pieces = []
        for piece in draws.split(CHUNK):
            pieces.append(State(piece, *self.target.log_prob_and_score(piece)))
            if time.perf_counter() >= until:
                break
        return _finite(State(*(torch.cat(parts) for parts in zip(*pieces, strict=True))))

    def split(self, state: State) -> tuple[State, State]:
        """Held-out draws, at most half of them, and the rest."""
        if len(state.x) < 2:
            raise ValueError("fewer than two draws have a finite density: write draws=warm_up(target).draws")
        size = min(HELD_OUT, len(state.x) // 2)
        return State(*(part[:size] for part in state)), State(*(part[size:] for part in state))

    def paths(self, until: float) -> tuple[Tensor, Tensor]:
        """Ends and log weights of fresh paths."""
        ends, log_weights = [], []
        while sum(map(len, ends)) < PATHS and (not ends or time.perf_counter() < until):
            size = min(CHUNK, paths_at_once(self.process, self.target.dim))
            some, weights = self.sampler.sample(self.target, size, self.generator)
            ends.append(some)
            log_weights.append(weights)
        return torch.cat(ends), torch.cat(log_weights)

    def weighed(self, held: State, until: float, enough: float) -> tuple[Tensor, Tensor, Evaluation]:
        """Ends and log weights of fresh paths, and the evaluation of both.

        A share of ``enough`` may be luck: as many paths again are drawn, and all of them count.
        """
        ends, log_weights = self.paths(until)
        if effective_sample_fraction(log_weights) >= enough:
            more, weights = self.paths(until)
            ends, log_weights = torch.cat([ends, more]), torch.cat([log_weights, weights])
        draws = held.x, held.log_prob
        backward = reverse_log_weights(self.process, self.sampler.policy, self.target, draws, self.generator)
        return ends, log_weights, evaluation_of(log_weights, backward)

    def resampled(self, ends: Tensor, log_weights: Tensor, until: float) -> tuple[State, State]:
        """Held-out draws and the rest: ends resampled by their weights, and moved."""
        chosen = systematic(log_weights, len(ends), self.generator)
        return self.split(self.moved(ends[chosen], until))

    @torch.no_grad()
    def moved(self, ends: Tensor, until: float) -> State:
        """Ends after HMC moves with an adapted step size, in random order."""
        density, one = self.target.log_prob_and_score, torch.ones_like(ends[0])
        state = hmc.init(density, ends[torch.randperm(len(ends), generator=self.generator, device=ends.device)])
        step_size = torch.tensor(FIRST_STEP_SIZE, dtype=ends.dtype, device=ends.device)
        for move in range(MOVES):
            if time.perf_counter() >= until:
                break
            jittered = step_size * hmc.jitter(state.log_prob, self.generator)
            state, info = hmc.step(density, state, jittered, one, LEAPFROGS, self.generator)
            step_size = adapted(step_size, info.acceptance_rate, move, hmc.TARGET_ACCEPTANCE_RATE)
        return _finite(state)


def _joined(old: State, new: State) -> State:
    return State(*(torch.cat(parts)[-BUFFER:] for parts in zip(old, new, strict=True)))


def _finite(state: State) -> State:
    return State(*(part[state.log_prob.isfinite()] for part in state))


def _status(rounds: list[Round], best: int, enough: float) -> str:
    first, kept = rounds[0].evaluation.ess_fraction, rounds[best].evaluation.ess_fraction
    if len(rounds) == 1:
        return f"Bridges to the draws give weights of {kept:.1%} effective, and no round followed."
    count = f"{len(rounds) - 1} round" + "s" * (len(rounds) > 2)
    if best == 0:
        return f"{count} of repair brought nothing: the bridges to the given draws stay, with {kept:.1%} effective."
    over = "" if kept >= enough else f", which is still under {enough:.0%}"
    return f"{count} of repair raised the effective share of the weights from {first:.1%} to {kept:.1%}{over}."
