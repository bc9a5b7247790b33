"""An outbreak in one town: daily case counts of a susceptible-infected-recovered model, as a Pyro model."""

from __future__ import annotations

import math

import pyro
import pyro.distributions as dist
import torch

DAYS = 30
PEOPLE = 10_000.0


def outbreak(cases):
    """Reported ``cases: (30,)``. Unknown: transmission and recovery a day, first infected, reported share."""
    transmission = pyro.sample("transmission", dist.LogNormal(math.log(0.5), 0.4))
    recovery = pyro.sample("recovery", dist.LogNormal(math.log(0.2), 0.3))
    infected = pyro.sample("first_infected", dist.LogNormal(math.log(10.0), 0.7))
    reported = pyro.sample("reported", dist.Beta(4.0, 4.0))
    pyro.deterministic("reproduction_number", transmission / recovery)
    contact, kept = -transmission / PEOPLE, torch.exp(-recovery)
    susceptible, leaving = PEOPLE - infected, []
    for _ in range(DAYS):
        leaving.append(susceptible * torch.expm1(contact * infected))  # minus the newly infected
        susceptible = susceptible + leaving[-1]
        infected = infected * kept - leaving[-1]
    mean = (-reported[..., None] * torch.stack(leaving, -1)).clamp(min=1e-3)
    with pyro.plate("days", DAYS):
        pyro.sample("cases", dist.GammaPoisson(10.0, 10.0 / mean), obs=cases)


def towns(count: int, seed: int) -> torch.Tensor:
    """Case counts ``(count, 30)`` of towns whose parameters are drawn from the prior."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(seed)
        draw = pyro.poutine.uncondition(outbreak)
        return torch.stack(
            [pyro.poutine.trace(draw).get_trace(torch.zeros(DAYS)).nodes["cases"]["value"] for _ in range(count)]
        )
