"""What comes before training over contexts: simulated pairs, a Gaussian for every context, a fresh sampler."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from amortized._types import Generator, Tensor
from amortized.amortization.family import CONTEXTS, Family
from amortized.amortization.gaussian import fit_gaussian
from amortized.amortization.pairs import Pairs
from amortized.behaviours.searches.mala import MALASearch
from amortized.parallel.ranks import Ranks
from amortized.policies.conditional_gaussian import ConditionalGaussian
from amortized.policies.context import ContextReader
from amortized.policies.embeddings import DeepSets, Perceptron
from amortized.samplers import DiffusionSampler
from amortized.targets.conditional.target import ConditionalTarget
from amortized.training.run import Run

SIMULATIONS = 20_000
"""Pairs in the pool, if time allows."""
SCALED_BY = 2_000
"""Contexts that set the units of the embedding's inputs."""
MOVES = 20
"""MALA moves of every draw at the given data. Draws that need more are still the Gaussian's, which training can use."""
GAUSSIAN = "gaussian"
"""Under which a run keeps the Gaussian that was learned."""
AT_ONCE = 512
"""Data sets that share one MALA step size and one look at the clock."""
RECHECKED = 256
"""Draws at which the density is compared with the model once more."""


@dataclass(frozen=True)
class Amortized:
    """What training over contexts starts from.

    Args:
        family: The whitened posteriors.
        sampler: Untrained.
        pairs: Gives more draws, of contexts without a number.
        x: Draws ``(N, D)``, unconstrained.
        indices: The contexts that they belong to, ``(N,)``.
        run: The processes that train together.
    """

    family: Family
    sampler: DiffusionSampler
    pairs: Pairs
    x: Tensor
    indices: Tensor
    run: Run = Run()  # noqa: RUF009


def prepare_family(
    target: ConditionalTarget,
    make: Callable[..., DiffusionSampler],
    embedding: nn.Module | None,
    generator: Generator,
    max_seconds: float,
    progress: bool = False,
    run: Run = Run(),  # noqa: B008
) -> Amortized:
    """Simulate pairs, learn a Gaussian for every context, move its draws to the given data, build a sampler.

    First weights come from torch's global random state.

    Args:
        target: Of the model and its data sets.
        make: ``make(dim, None, embedding=…)`` builds the sampler.
        embedding: Reads the contexts. None: ``DeepSets()`` for sets, else ``Perceptron()``.
        generator: Of all other randomness.
        max_seconds: Limit in seconds of wall clock.
        progress: Whether to show bars.
        run: The processes that prepare and train together. Each has pairs of its own, and its part of the data sets.
    """
    deadline = time.perf_counter() + max_seconds
    pairs = Pairs(target, SIMULATIONS, 0.2 * max_seconds, generator)
    rows = torch.cat([pairs.rows, _own_rows(target, run.ranks)])
    seen = rows[torch.randperm(len(rows), generator=generator, device=rows.device)[:SCALED_BY]]
    gaussian = untrained_gaussian(target, embedding, seen, pairs.x.mean(0), pairs.x.std(0))
    run.ranks.copy_first(gaussian.state_dict().values())  # the units too, which are those of other pairs
    family = Family(target, gaussian, rows, len(pairs.rows))
    if (found := run.get(GAUSSIAN)) is None:
        left = 0.7 * (deadline - time.perf_counter())
        fit_gaussian(family, pairs.draw, left, generator, progress, run.ranks)
        run.keep(GAUSSIAN, gaussian.state_dict)
    else:
        gaussian.load_state_dict(found)
    x, indices = pairs.x, torch.arange(len(pairs.x), device=rows.device)
    if len(target.rows) >= family.contexts:
        found, places = _chains(family, deadline, generator)
        x, indices = torch.cat([x, found]), torch.cat([indices, places])
    target.joint.recheck(target.coordinates(rows[indices[-RECHECKED:]], x[-RECHECKED:]))
    return Amortized(family, untrained_sampler(family, make), pairs, x, indices, run)


def _own_rows(target: ConditionalTarget, ranks: Ranks) -> Tensor:
    """This process's part of the data sets, or all of them if a part would be too small to train on."""
    if len(target.rows) < CONTEXTS * ranks.size:
        return target.rows
    own = ranks.shard(len(target.rows))
    return target.rows[own.start : own.stop]


def untrained_gaussian(
    target: ConditionalTarget, embedding: nn.Module | None, rows: Tensor, shift: Tensor, scale: Tensor
) -> ConditionalGaussian:
    """A Gaussian for every context, which has learned nothing.

    Args:
        target: Of the model and its data sets.
        embedding: As in ``prepare_family``.
        rows: Contexts ``(M, C)``, which set the units of the embedding's inputs.
        shift: Mean of draws over all contexts, ``(D,)``.
        scale: Their std, ``(D,)``.
    """
    own = embedding or (DeepSets() if target.contexts.ragged else Perceptron())
    reader = ContextReader(copy.deepcopy(own), target.contexts.split, rows, target.contexts.ragged)
    shift, scale = (unit.to(torch.get_default_dtype()) for unit in (shift, scale))
    return ConditionalGaussian(reader, shift, scale).to(target.device).eval()


def untrained_sampler(family: Family, make: Callable[..., DiffusionSampler]) -> DiffusionSampler:
    """A sampler for the family, which begins with the embedding of its Gaussian."""
    return make(family.dim, None, embedding=copy.deepcopy(family.gaussian.embedding)).to(family.device).eval()


@torch.no_grad()
def _chains(family: Family, deadline: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Draws ``(N, D)`` for the given data sets by MALA from the Gaussian's, and the indices of these data sets."""
    found, places = [], []
    data = torch.arange(family.simulated, len(family.rows), device=family.rows.device)
    search = MALASearch(steps=MOVES, step_size=0.1)
    for indices in data[torch.randperm(len(data), generator=generator, device=data.device)].split(AT_ONCE):
        white = family.at(family.rows[indices], indices)
        starts = torch.randn(len(indices), family.dim, generator=generator, device=family.device)
        found.append(white.unwhiten(search(white, starts, generator).ends))
        places.append(indices)
        if time.perf_counter() > deadline:
            break
    return torch.cat(found), torch.cat(places)
