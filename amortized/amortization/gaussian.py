"""The Gaussian for every context, learned by maximum likelihood from pairs of draws and contexts."""

from __future__ import annotations

import copy
import math
import time

import torch
from torch import nn

from amortized._types import Generator, Tensor, TrainingStep
from amortized.callbacks import ProgressBar
from amortized.fit import optimise
from amortized.policies.conditional_gaussian import ConditionalGaussian

HELD_OUT = 0.1
PATIENCE = 5


def fit_gaussian(
    gaussian: ConditionalGaussian,
    x: Tensor,
    rows: Tensor,
    seconds: float,
    generator: Generator | None = None,
    steps: int = 4_000,
    batch: int = 256,
    learning_rate: float = 3e-3,
    every: int = 200,
    progress: bool = False,
) -> float:
    """Maximize ``mean log N(x; m(c), L(c) L(c)ᵀ)`` over pairs ``x: (N, D)``, ``rows: (N, C)``; it ends at its best.

    A tenth of the pairs is held out; training stops when they have not become more likely in five looks, ``every`` so
    many steps, or after ``seconds``. Returns their mean log density in nats.
    """
    x = x.to(gaussian.shift)
    order = torch.randperm(len(x), generator=generator, device=x.device)
    held_out, chosen = order[: max(1, int(HELD_OUT * len(x)))], order[max(1, int(HELD_OUT * len(x))) :]
    best, waited, weights = -math.inf, 0, copy.deepcopy(gaussian.state_dict())
    deadline = time.perf_counter() + seconds

    def loss(step: int) -> Tensor:
        places = chosen[torch.randint(len(chosen), (batch,), generator=generator, device=x.device)]
        return -gaussian.log_prob(x[places], rows[places]).mean()

    def judge(step: TrainingStep) -> bool:
        nonlocal best, waited, weights
        late = time.perf_counter() >= deadline
        if step.number % every and step.number != step.planned and not late:
            return False
        with torch.no_grad():
            averaged = step.parts["gaussian"]
            value = float(averaged.log_prob(x[held_out], rows[held_out]).mean())  # type: ignore[operator]
        waited = 0 if value > best + 1e-3 else waited + 1
        if value > best:
            best, weights = value, copy.deepcopy(averaged.state_dict())
        return late or waited >= PATIENCE

    with ProgressBar("a Gaussian for every data set", steps, progress) as bar:
        optimise(nn.ModuleDict({"gaussian": gaussian}), loss, steps, learning_rate, [judge, bar])
    gaussian.load_state_dict(weights)
    return best
