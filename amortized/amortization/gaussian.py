"""The Gaussian for every context: learned from simulated pairs and, where data are given, from their density too."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable

import torch
from torch import nn

from amortized._types import Generator, Tensor, TrainingStep, by_context
from amortized.amortization.family import Family
from amortized.training.callbacks import ProgressBar
from amortized.training.loop import Schedule, affordable_steps, optimise
from amortized.weights import effective_sample_size

PATIENCE = 5
HELD_OUT = 2_000
SHOWN = 64
STEPS = 4_000
BATCH = 256
RATE = 3e-3
EVERY = 200
ALONE = 0.4
"""Part of the steps that look at pairs alone, where there are data too."""
WITH_DATA = 0.2
"""Weight of the pairs beside the bound, and the share of them that is looked at: enough to hold every mode."""
FLOOR = 300
"""Steps that are made unless they take twice the time: all that follows starts from this Gaussian."""
UNLIKE = 0.7
DRAWS = 32


def fit_gaussian(
    family: Family,
    draw: Callable[[int, Generator | None], tuple[Tensor, Tensor]],
    seconds: float,
    generator: Generator | None = None,
    progress: bool = False,
) -> float:
    """Maximize ``mean log N(x; m(c), L(c) L(c)ᵀ)`` over pairs that ``draw(count, generator)`` gives.

    Where data sets were given and the Gaussian fits them much worse than simulated ones, the evidence bound
    ``E[log R(x; c) − log N(x; …)]`` at these joins in: pairs alone would leave it to chance there, the bound alone
    would settle on one mode, and data like simulated ones need none. Training stops when held-out pairs and data have
    not become more likely in five looks, or after ``seconds`` and 300 steps; it ends at its best. Returns its figure
    there, in nats.
    """
    gaussian, data = family.gaussian, family.rows[family.simulated :]
    judge = _Judge(family, draw(HELD_OUT, generator), seconds, generator)
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

    planned = judge.planned = max(FLOOR, affordable_steps(loss, STEPS, seconds))
    with ProgressBar("a Gaussian for every data set", planned, progress) as bar:
        optimise(
            nn.ModuleDict({"gaussian": gaussian}), loss, Schedule(planned, learning_rate=RATE, callbacks=[judge, bar])
        )
    gaussian.load_state_dict(judge.weights)
    return judge.best


class _Judge:
    """Keeps the best weights by held-out pairs and, ``with_data``, the bound at some data; stops when time is up."""

    def __init__(self, family: Family, held_out: tuple[Tensor, Tensor], seconds: float, generator: Generator | None):
        data = family.rows[family.simulated :]
        self.family = family
        self.held_out = held_out
        self.shown = data[torch.randperm(len(data), generator=generator, device=data.device)[:SHOWN]]
        self.with_data = len(data) >= family.contexts
        self.generator = generator
        self.seconds, self.deadline = seconds, time.perf_counter() + seconds
        self.planned = STEPS
        self.best, self.waited = -math.inf, 0
        self.weights = copy.deepcopy(family.gaussian.state_dict())

    def look_at_data(self) -> None:
        """Leave the data out where the Gaussian fits them as it fits simulated ones."""
        simulated = _fit_of(self.family, self.held_out[1][:SHOWN], self.generator)
        self.with_data = _fit_of(self.family, self.shown, self.generator) < UNLIKE * simulated
        self.best = -math.inf

    def __call__(self, step: TrainingStep) -> bool:
        now = time.perf_counter()
        late = now >= self.deadline and (step.number >= FLOOR or now >= self.deadline + self.seconds)
        if step.number % EVERY and step.number != step.planned and not late:
            return False
        averaged = step.parts["gaussian"].state_dict()
        value = self._value(averaged)
        early = self.with_data and step.number < ALONE * self.planned
        self.waited = 0 if early or value > self.best + 1e-3 else self.waited + 1
        if value > self.best:
            self.best, self.weights = value, copy.deepcopy(averaged)
        return late or self.waited >= PATIENCE

    @torch.no_grad()
    def _value(self, averaged: dict) -> float:
        gaussian, (x, rows) = self.family.gaussian, self.held_out
        kept = copy.deepcopy(gaussian.state_dict())
        gaussian.load_state_dict(averaged)
        value = float(gaussian.log_prob(x.to(gaussian.shift), rows).mean())
        value += float(_bound(self.family, self.shown, self.generator)) if self.with_data else 0.0
        gaussian.load_state_dict(kept)
        return value


def _bound(family: Family, rows: Tensor, generator: Generator | None) -> Tensor:
    """Mean evidence bound at contexts ``(M, C)``, from a draw each, up to a constant."""
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
