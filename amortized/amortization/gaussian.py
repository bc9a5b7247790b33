"""The Gaussian for every context, learned from simulated pairs and, if data are given, from their density too."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable

import torch
from torch import nn

from amortized._types import Generator, Tensor, TrainingStep, by_context
from amortized.amortization.family import Family
from amortized.parallel.ranks import Ranks
from amortized.training.callbacks import ProgressBar
from amortized.training.loop import Schedule, affordable_steps, optimise
from amortized.weights import effective_sample_size

EVERY, PATIENCE = 200, 5
"""Steps between judgements, and judgements without an improvement after which training stops."""
HELD_OUT = 2_000
"""Pairs that judge: their mean log density is known to .02 nats a dimension."""
SHOWN = 64
"""Data sets that judge, one draw each."""
STEPS, BATCH, RATE = 4_000, 256, 3e-3
"""At most a million pairs; Adam's step size for the small networks that read a context."""
ALONE = 0.4
"""Part of the steps that see pairs alone, if there are data too: the bound alone would settle on one mode."""
WITH_DATA = 0.2
"""Weight of the pairs beside the bound, and their share of a batch: enough to hold every mode."""
FLOOR = 300
"""Steps that are made unless they take twice the time: all that follows starts from this Gaussian."""
UNLIKE = 0.7
"""Data join the training where the Gaussian fits them less than this many times as well as simulated ones."""
DRAWS = 32
"""Of the Gaussian, for the effective fraction at one context."""


def fit_gaussian(
    family: Family,
    draw: Callable[[int, Generator | None], tuple[Tensor, Tensor]],
    seconds: float,
    generator: Generator | None = None,
    progress: bool = False,
    ranks: Ranks = Ranks(),  # noqa: B008
) -> float:
    """Maximize ``mean log N(x; m(c), L(c) L(c)ᵀ)`` over simulated pairs ``(x, c)``.

    The evidence bound ``E[log R(x; c) − log N(x; …)]`` at the given data joins in, if the Gaussian fits these much
    worse than simulated ones. Pairs alone would leave the fit there to chance; the bound alone would settle on one
    mode.

    Args:
        family: Holds the Gaussian, the contexts and their density.
        draw: ``draw(count, generator)`` gives ``x: (count, D)`` and ``c: (count, C)``.
        seconds: Limit, after the first 300 steps.
        generator: Of all randomness.
        progress: Whether to show a bar.
        ranks: The processes that learn it together, each from pairs and contexts of its own.

    Returns:
        The objective at the best weights, in nats. The family's Gaussian keeps these weights.
    """
    gaussian, data = family.gaussian, family.rows[family.simulated :]
    judge = _Judge(family, draw(HELD_OUT, generator), seconds, generator, ranks)
    planned = STEPS

    def loss(step: int) -> Tensor:
        if judge.with_data and step == int(ALONE * planned):
            judge.look_at_data()
        late = judge.with_data and step >= ALONE * planned
        x, rows = draw(int(WITH_DATA * BATCH) if late else BATCH, generator)
        value = -gaussian.log_prob(x.to(gaussian.shift), rows).mean()
        if late:
            places = torch.randint(len(data), (BATCH,), generator=generator, device=data.device)
            value = WITH_DATA * value - _bound(family, data[places], generator)
        return value

    planned = judge.planned = int(ranks.same(max(FLOOR, affordable_steps(loss, STEPS, seconds))))
    with ProgressBar("a Gaussian for every data set", planned, progress) as bar:
        schedule = Schedule(planned, learning_rate=RATE, callbacks=[judge, bar], ranks=ranks)
        optimise(nn.ModuleDict({"gaussian": gaussian}), loss, schedule)
    gaussian.load_state_dict(judge.weights)
    return judge.best


class _Judge:
    """A callback that keeps the best weights, and stops when time is up or nothing improves.

    Weights are judged by held-out pairs and, ``with_data``, by the bound at some data.
    """

    def __init__(
        self,
        family: Family,
        held_out: tuple[Tensor, Tensor],
        seconds: float,
        generator: Generator | None,
        ranks: Ranks = Ranks(),  # noqa: B008
    ):
        data = family.rows[family.simulated :]
        self.family = family
        self.held_out = held_out
        self.shown = data[torch.randperm(len(data), generator=generator, device=data.device)[:SHOWN]]
        self.with_data = len(data) >= family.contexts
        self.generator, self.ranks = generator, ranks
        self.seconds, self.deadline = seconds, time.perf_counter() + seconds
        self.planned = STEPS
        self.best, self.waited = -math.inf, 0
        self.weights = copy.deepcopy(family.gaussian.state_dict())

    def look_at_data(self) -> None:
        """Leave the data out if the Gaussian fits them as it fits simulated ones."""
        simulated = _fit_of(self.family, self.held_out[1][:SHOWN], self.generator)
        unlike = _fit_of(self.family, self.shown, self.generator) < UNLIKE * simulated
        self.with_data = bool(self.ranks.same(unlike))
        self.best = -math.inf

    def __call__(self, step: TrainingStep) -> bool:
        now = time.perf_counter()
        late = now >= self.deadline and (step.number >= FLOOR or now >= self.deadline + self.seconds)
        late = bool(self.ranks.same(late))  # all judge, or none
        if step.number % EVERY and step.number != step.planned and not late:
            return False
        averaged = step.parts["gaussian"].state_dict()
        [value] = self.ranks.means([self._value(averaged)])
        early = self.with_data and step.number < ALONE * self.planned
        self.waited = 0 if early or value > self.best + 1e-3 else self.waited + 1
        if value > self.best:
            self.best, self.weights = value, copy.deepcopy(averaged)
        return late or self.waited >= PATIENCE

    @torch.no_grad()
    def _value(self, averaged: dict) -> float:
        gaussian, (x, rows) = self.family.gaussian, self.held_out
        own = copy.deepcopy(gaussian.state_dict())
        gaussian.load_state_dict(averaged)
        value = float(gaussian.log_prob(x.to(gaussian.shift), rows).mean())
        value += float(_bound(self.family, self.shown, self.generator)) if self.with_data else 0.0
        gaussian.load_state_dict(own)
        return value


def _bound(family: Family, rows: Tensor, generator: Generator | None) -> Tensor:
    """Mean evidence bound at contexts ``(M, C)``, from one draw each, up to a constant."""
    u = torch.randn(len(rows), family.dim, generator=generator, device=rows.device)
    value = family.at(rows).log_prob(u)
    return torch.where(value.isfinite(), value, 0.0).mean()


@torch.no_grad()
def _fit_of(family: Family, rows: Tensor, generator: Generator | None) -> float:
    """Mean effective fraction of the Gaussian's draws, weighed by the density, over contexts ``(M, C)``."""
    u = torch.randn(DRAWS * len(rows), family.dim, generator=generator, device=rows.device)
    log_weights = family.at(rows).log_prob(u).double() + 0.5 * u.double().square().sum(-1)
    sizes = effective_sample_size(by_context(log_weights, len(rows)))
    return float(sizes.nan_to_num(0.0).mean()) / DRAWS
