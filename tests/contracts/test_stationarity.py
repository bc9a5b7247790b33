"""Every kernel that moves draws, as it is used, leaves exact draws of the target exact.

A law comes with a map to uniform numbers, one a coordinate. Of the moved draws the probabilities below five levels are
compared with the levels: each is within 4.5 standard errors by chance but once in 150,000.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import pytest
import torch

import amortized.behaviours
from amortized._types import Generator, Tensor
from amortized.behaviours import Search
from amortized.diagnostics.drift import drift
from amortized.mcmc import tempered_smc
from amortized.mcmc.state import init
from amortized.processes import OrnsteinUhlenbeck
from amortized.results.posterior import polished
from amortized.samplers import DiffusionSampler
from amortized.samplers.corrections import corrected
from amortized.targets.affine import WhitenedTarget
from amortized.targets.base import Target
from amortized.targets.callable import DensityTarget
from tests.contracts.discovery import concrete_classes
from tests.known import network, seeded

LEVELS = torch.tensor([0.01, 0.1, 0.5, 0.9, 0.99], dtype=torch.float64)
COUNT = 25_600
SEARCHED = 1_024
PARTICLES = 512


class Law(NamedTuple):
    """Exact draws ``(n, D)``, the density, and the map of its draws to uniform numbers ``(n, D)``."""

    draw: Callable[[int, Generator], Tensor]
    log_prob: Callable[[Tensor], Tensor]
    uniform: Callable[[Tensor], Tensor]

    def target(self) -> Target:
        return DensityTarget(self.log_prob, dim=2, dtype=torch.float64)


def normal(n: int, generator: Generator) -> Tensor:
    return torch.randn(n, 2, generator=generator, dtype=torch.float64)


def funnel_density(x: Tensor) -> Tensor:
    return -0.5 * (x[:, 0] / 1.5).square() - 0.5 * x[:, 1].square() * (-x[:, 0]).exp() - 0.5 * x[:, 0]


def funnel_draws(n: int, generator: Generator) -> Tensor:
    v, z = normal(n, generator).unbind(1)
    return torch.stack([1.5 * v, (0.75 * v).exp() * z], 1)


def two_draws(n: int, generator: Generator) -> Tensor:
    """Of 0.7 N(0, I) + 0.3 N(4, 0.3² I)."""
    far = torch.rand(n, 1, generator=generator, dtype=torch.float64) < 0.3
    z = normal(n, generator)
    return torch.where(far, 4 + 0.3 * z, z)


def two_density(x: Tensor) -> Tensor:
    near = math.log(0.7) - 0.5 * x.square().sum(-1)
    return torch.logaddexp(near, math.log(0.3 / 0.09) - 0.5 * ((x - 4) / 0.3).square().sum(-1))


LAWS = {
    "log of an exponential": Law(
        lambda n, generator: torch.empty(n, 2, dtype=torch.float64).exponential_(generator=generator).log(),
        lambda x: (x - x.exp()).sum(-1),
        lambda x: -torch.expm1(-x.exp()),
    ),
    "funnel": Law(
        funnel_draws,
        funnel_density,
        lambda x: torch.special.ndtr(torch.stack([x[:, 0] / 1.5, x[:, 1] * (-0.5 * x[:, 0]).exp()], 1)),
    ),
    "two modes": Law(
        two_draws,
        two_density,
        lambda x: 0.7 * torch.special.ndtr(x) + 0.3 * torch.special.ndtr((x - 4) / 0.3),
    ),
}


class Exact(DiffusionSampler):
    """A sampler that is right already: exact draws, and weights that say so."""

    def __init__(self, law: Law):
        super().__init__(OrnsteinUhlenbeck(2), network(2))
        self.law = law

    def sample(self, target, count, generator=None, chunk=4096):
        return self.law.draw(count, generator or seeded()), torch.zeros(count, dtype=torch.float64)


def by_correction(law: Law, generator: Generator) -> Tensor:
    sampler = Exact(law)
    return corrected(sampler, law.target(), COUNT, "mcmc", sampler.sample(None, 2_000, generator), generator)[0]


def by_polish(law: Law, generator: Generator) -> Tensor:
    identity = torch.eye(2, dtype=torch.float64)
    white, sampler = WhitenedTarget(law.target(), 0 * identity[0], identity, dtype=torch.float64), Exact(law)
    return polished(sampler, white, COUNT, sampler.sample(None, 2_000, generator), generator)[0]


def by_search(law: Law, generator: Generator, search_class: type[Search]) -> Tensor:
    search, starts = search_class(), law.draw(COUNT, generator)
    return torch.cat([search(law.target(), part, generator).ends for part in starts.split(SEARCHED)])


SEARCHES = [found for found in concrete_classes(amortized.behaviours, Search) if found.needs_starts]


def by_mover(law: Law, generator: Generator) -> Tensor:
    """Three rounds of what tempering does at a temperature: metrics, steps and jumps all from the particles moved."""
    moved, density = [], law.target().log_prob_and_score
    for part in law.draw(COUNT, generator).split(PARTICLES):
        mover, state = tempered_smc.Mover(torch.eye(2, dtype=torch.float64), generator), init(density, part)
        for _ in range(3):
            equal = torch.zeros_like(state.log_prob)
            state, _ = mover.moves(density, state, tempered_smc.metrics(state.x, state.score, equal))
        moved.append(state.x)
    return torch.cat(moved)


@pytest.mark.parametrize(
    "kernel", [by_correction, by_polish, by_mover, *(partial(by_search, search_class=found) for found in SEARCHES)]
)
@pytest.mark.parametrize("name", LAWS)
def test_exact_draws_stay_exact(kernel, name):
    law = LAWS[name]
    u = law.uniform(kernel(law, seeded(3)))
    assert u.shape == (COUNT, 2)
    below = (u[:, None] <= LEVELS[:, None]).double().mean(0)
    error = (LEVELS * (1 - LEVELS) / COUNT).sqrt()[:, None]
    assert ((below - LEVELS[:, None]) / error).abs().max() < 4.5


@pytest.mark.parametrize("name", LAWS)
def test_chains_of_the_drift_test_stay(name):
    """Four runs, of which each is wrong once in 1,000."""
    law = LAWS[name]
    for seed in range(4):
        found = drift(law.target(), law.draw(1_200, seeded(seed)), torch.zeros(1_200), seeded(100 + seed))
        assert found is not None and found.stays, found
