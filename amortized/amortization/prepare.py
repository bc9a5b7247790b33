"""What comes before training over contexts: simulated pairs, a Gaussian for every context, a fresh sampler."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from amortized._types import Generator, Tensor
from amortized.amortization.family import Family
from amortized.amortization.gaussian import fit_gaussian
from amortized.amortization.pairs import Pairs
from amortized.behaviours.searches.mala import MALASearch
from amortized.policies.conditional_gaussian import ConditionalGaussian
from amortized.policies.context import ContextReader
from amortized.policies.embeddings import DeepSets, Perceptron
from amortized.samplers import DiffusionSampler, GFlowNet
from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.cost import is_expensive

SIMULATIONS = 20_000
SCALED_BY = 2_000
MOVES = 20
AT_ONCE = 512
RECHECKED = 256


@dataclass(frozen=True)
class Amortized:
    """The family, an untrained sampler, and draws: ``x: (N, D)`` unconstrained, of the contexts with ``numbers: (N,)``.

    ``pairs`` gives more of them, of contexts without a number.
    """

    family: Family
    sampler: DiffusionSampler
    pairs: Pairs
    x: Tensor
    numbers: Tensor


def prepare_family(
    target: ConditionalTarget,
    make_sampler: Callable[..., DiffusionSampler] | None,
    embedding: nn.Module | None,
    langevin: bool | None,
    generator: Generator,
    max_seconds: float,
    progress: bool = False,
    preset: Callable[..., DiffusionSampler] = GFlowNet,
    simulations: int = SIMULATIONS,
) -> Amortized:
    """Simulate pairs, learn a Gaussian for every context, move draws of it to the given data sets, build a sampler.

    ``embedding`` reads the contexts: by default ``DeepSets()`` for sets, else ``Perceptron()``. The sampler is
    ``make_sampler(dim, None, embedding=…)``, else the ``preset``; it sees the density's gradient as ``langevin`` says
    or, where that is None, unless one was measured to cost over 50 microseconds a particle. ``max_seconds``: the limit
    for what is trained here, wall clock. First weights come from torch's global random state.
    """
    deadline = time.perf_counter() + max_seconds
    pairs = Pairs(target, simulations, 0.2 * max_seconds, generator)
    rows = torch.cat([pairs.rows, target.rows])
    own = embedding or (DeepSets() if target.contexts.ragged else Perceptron())
    seen = rows[torch.randperm(len(rows), generator=generator, device=rows.device)[:SCALED_BY]]
    reader = ContextReader(copy.deepcopy(own), target.contexts.split, seen, target.contexts.ragged)
    shift, scale = (unit.to(torch.get_default_dtype()) for unit in (pairs.x.mean(0), pairs.x.std(0)))
    gaussian = ConditionalGaussian(reader, shift, scale).to(target.device).eval()
    family = Family(target, gaussian, rows, len(pairs.rows))
    fit_gaussian(family, pairs.draw, 0.7 * (deadline - time.perf_counter()), generator, progress)
    x, numbers = pairs.x, torch.arange(len(pairs.x), device=rows.device)
    if len(target.rows) >= family.contexts:
        found, places = _chains(family, deadline, generator)
        x, numbers = torch.cat([x, found]), torch.cat([numbers, places])
    target.joint.recheck(target.coordinates(rows[numbers[-RECHECKED:]], x[-RECHECKED:]))
    dear = is_expensive(target.at(rows[:1]), x)
    make: Any = make_sampler or partial(preset, langevin=not dear if langevin is None else langevin)
    sampler = make(target.dim, None, embedding=copy.deepcopy(gaussian.embedding)).to(target.device).eval()
    return Amortized(family, sampler, pairs, x, numbers)


@torch.no_grad()
def _chains(family: Family, deadline: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Draws ``(N, D)`` for the given data sets, and the numbers of these: MALA from the Gaussian's draws.

    All data sets share a step; where 20 moves are too few the draws are still the Gaussian's: training needs no more.
    """
    found, places = [], []
    data = torch.arange(family.simulated, len(family.rows), device=family.rows.device)
    search = MALASearch(steps=MOVES, step_size=0.1)
    for numbers in data[torch.randperm(len(data), generator=generator, device=data.device)].split(AT_ONCE):
        white = family.at(family.rows[numbers], numbers)
        starts = torch.randn(len(numbers), family.dim, generator=generator, device=family.device)
        found.append(white.unwhiten(search(white, starts, generator).ends))
        places.append(numbers)
        if time.perf_counter() > deadline:
            break
    return torch.cat(found), torch.cat(places)
