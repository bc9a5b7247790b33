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
from amortized.behaviours.searches.mala import MALASearch
from amortized.policies.conditional_gaussian import ConditionalGaussian
from amortized.policies.context import ContextReader
from amortized.policies.embeddings import DeepSets, Perceptron
from amortized.preparation import DEAR
from amortized.samplers import DiffusionSampler, GFlowNet
from amortized.targets.conditional import ConditionalTarget
from amortized.targets.cost import seconds_a_particle
from amortized.targets.simulation import simulate

SIMULATIONS = 20_000
CHAINS = 2
MOVES = 100
AT_ONCE = 512


@dataclass(frozen=True)
class Amortized:
    """The family, an untrained sampler, and draws: ``x: (N, D)`` unconstrained, of the contexts with ``numbers: (N,)``.

    ``log_density``: mean log density of held-out pairs under the Gaussian, in nats.
    """

    family: Family
    sampler: DiffusionSampler
    x: Tensor
    numbers: Tensor
    log_density: float
    dear: bool


def prepare_family(
    target: ConditionalTarget,
    make_sampler: Callable[..., DiffusionSampler] | None,
    embedding: nn.Module | None,
    langevin: bool | None,
    generator: Generator,
    seed: int,
    max_seconds: float,
    progress: bool = False,
    preset: Callable[..., DiffusionSampler] = GFlowNet,
    simulations: int = SIMULATIONS,
) -> Amortized:
    """Simulate pairs, learn a Gaussian for every context, move draws of it to the given data sets, build a sampler.

    ``embedding`` reads the contexts: by default ``DeepSets()`` for sets, else ``Perceptron()``. The sampler is
    ``make_sampler(dim, None, embedding=…)``, else the ``preset``; it sees the density's gradient as ``langevin`` says
    or, where that is None, unless one was measured to cost over 50 microseconds a particle. ``max_seconds``: the limit
    for what is trained here, wall clock.
    """
    deadline = time.perf_counter() + max_seconds
    data = target.rows
    origin = torch.randint(len(data), (simulations,), generator=generator, device=data.device)
    x, simulated = simulate(target, data[origin], seed)
    x, simulated = _usable(target, x, simulated)
    with torch.random.fork_rng(devices=[target.device] if target.device.type == "cuda" else []):
        torch.manual_seed(seed)
        own = embedding or (DeepSets() if target.contexts.ragged else Perceptron())
        reader = ContextReader(copy.deepcopy(own), target.contexts.split, simulated, target.contexts.ragged)
        gaussian = ConditionalGaussian(reader.to(target.device), x.mean(0).float(), x.std(0).float())
    gaussian.to(target.device)
    left = 0.5 * (deadline - time.perf_counter())
    log_density = fit_gaussian(gaussian, x, simulated, left, generator, progress=progress)
    family = Family(target, gaussian, torch.cat([simulated, data]), len(simulated))
    numbers = torch.arange(len(x), device=x.device)
    if len(data) >= family.contexts:
        found, places = _chains(family, deadline, generator)
        x, numbers = torch.cat([x, found]), torch.cat([numbers, places])
        left = deadline - time.perf_counter()
        log_density = fit_gaussian(gaussian, x, family.rows[numbers], left, generator, progress=progress)
    dear = seconds_a_particle(target.at(simulated[:1]), x) > DEAR
    make: Any = make_sampler or partial(preset, langevin=not dear if langevin is None else langevin)
    with torch.random.fork_rng(devices=[target.device] if target.device.type == "cuda" else []):
        torch.manual_seed(seed)
        sampler = make(target.dim, None, embedding=copy.deepcopy(gaussian.embedding)).to(target.device)
    return Amortized(family, sampler, x, numbers, log_density, dear)


def _usable(target: ConditionalTarget, x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """The pairs without those in which a number overflowed. Raises ``ValueError`` where these are over a tenth."""
    missing = rows.isnan() & ~target.rows[0].isnan() if not target.contexts.ragged else torch.zeros_like(rows).bool()
    finite = x.isfinite().all(1) & ~missing.any(1) & ~rows.isinf().any(1)
    if float(finite.double().mean()) < 0.9:
        raise ValueError(
            f"{int((~finite).sum())} of {len(x)} data sets simulated from the model's prior are not finite; give the "
            "latents priors that keep the data finite"
        )
    return x[finite], rows[finite]


@torch.no_grad()
def _chains(family: Family, deadline: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Draws ``(N, D)`` for the given data sets, and the numbers of these: MALA from the Gaussian's draws."""
    found, places = [], []
    data = torch.arange(family.simulated, len(family.rows), device=family.rows.device)
    search, half = MALASearch(steps=MOVES, step_size=0.1), time.perf_counter() + 0.5 * (deadline - time.perf_counter())
    for numbers in data.split(AT_ONCE):
        white = family.at(family.rows[numbers], numbers)
        starts = torch.randn(CHAINS * len(numbers), family.dim, generator=generator, device=family.device)
        ends = search(white, starts, generator).ends
        found.append(white.unwhiten(ends))
        places.append(numbers.repeat(CHAINS))
        if time.perf_counter() > half:
            break
    return torch.cat(found), torch.cat(places)
