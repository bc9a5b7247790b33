"""The Gaussian for every context: learned from simulated pairs and, where data are given, from their density too."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable

import torch
from torch import nn

from amortized._types import Generator, Tensor, TrainingStep
from amortized.amortization.family import Family
from amortized.callbacks import ProgressBar
from amortized.fit import affordable, optimise
from amortized.mcmc.resampling import effective_sample_size

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
    held_out = draw(HELD_OUT, generator)
    shown = data[torch.randperm(len(data), generator=generator, device=data.device)[:SHOWN]]
    joint = len(data) >= family.contexts
    best, waited, weights = -math.inf, 0, copy.deepcopy(gaussian.state_dict())
    deadline = time.perf_counter() + seconds

    def bound(rows: Tensor) -> Tensor:
        u = torch.randn(len(rows), family.dim, generator=generator, device=rows.device)
        value = family.at(rows).log_prob(u)
        return torch.where(value.isfinite(), value, 0.0).mean()

    def loss(step: int) -> Tensor:
        nonlocal joint
        if joint and step == int(ALONE * planned):
            joint = _fit_of(family, shown, generator) < UNLIKE * _fit_of(family, held_out[1][:SHOWN], generator)
        late = joint and step >= ALONE * planned
        x, rows = draw(int(WITH_DATA * BATCH) if late else BATCH, generator)
        value = -gaussian.log_prob(x.to(gaussian.shift), rows).mean()
        if late:
            places = torch.randint(len(data), (BATCH,), generator=generator, device=data.device)
            value = WITH_DATA * value - bound(data[places])
        return value

    def judge(step: TrainingStep) -> bool:
        nonlocal best, waited, weights
        now = time.perf_counter()
        late = now >= deadline and (step.number >= FLOOR or now >= deadline + seconds)
        if step.number % EVERY and step.number != step.planned and not late:
            return False
        averaged = step.parts["gaussian"].state_dict()
        kept = copy.deepcopy(gaussian.state_dict())
        with torch.no_grad():
            gaussian.load_state_dict(averaged)
            value = float(gaussian.log_prob(held_out[0].to(gaussian.shift), held_out[1]).mean())
            value += float(bound(shown)) if joint else 0.0
            gaussian.load_state_dict(kept)
        early = joint and step.number < ALONE * planned
        waited = 0 if early or value > best + 1e-3 else waited + 1
        if value > best:
            best, weights = value, copy.deepcopy(averaged)
        return late or waited >= PATIENCE

    planned = STEPS
    planned = max(FLOOR, affordable(loss, STEPS, seconds))
    with ProgressBar("a Gaussian for every data set", planned, progress) as bar:
        optimise(nn.ModuleDict({"gaussian": gaussian}), loss, planned, RATE, [judge, bar])
    gaussian.load_state_dict(weights)
    return best


@torch.no_grad()
def _fit_of(family: Family, rows: Tensor, generator: Generator | None) -> float:
    """Mean effective fraction of the Gaussian's draws, weighed by the density, over contexts ``(M, C)``."""
    u = torch.randn(DRAWS * len(rows), family.dim, generator=generator, device=rows.device)
    log_weights = family.at(rows).log_prob(u).double() + 0.5 * u.double().square().sum(-1)
    sizes = effective_sample_size(log_weights.unflatten(0, (DRAWS, len(rows))))
    return float(sizes.nan_to_num(0.0).mean()) / DRAWS
