"""The two slow posteriors as Pyro models. A particle waits 5 ms in an operation that survives recording."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pyro
import pyro.distributions as dist
import torch
from slow_cases import (
    BEACONS,
    BETWEEN,
    NOISE,
    PRIOR_LOGS,
    PRIOR_STDS,
    STEPS_A_YEAR,
    TO_BEACON,
    YEARS,
    counts,
)
from torch import Tensor

SECONDS = 5e-3
"""What a particle waits."""


class Waiting:
    """Counts the particles that waited, in plain runs too. Without ``sleeps`` the clock moves on instead."""

    particles, sleeps, skipped = 0, True, 0.0

    def __call__(self, particles: int) -> None:
        self.particles += particles
        if self.sleeps:
            time.sleep(SECONDS * particles)
        else:
            self.skipped += SECONDS * particles


WAITING = Waiting()


@contextmanager
def moved_clock() -> Iterator[None]:
    """Inside, ``time.perf_counter`` and ``time.monotonic`` run on by 5 ms a particle, and nothing sleeps."""
    clocks = time.perf_counter, time.monotonic
    WAITING.sleeps = False
    time.perf_counter, time.monotonic = (lambda clock=clock: clock() + WAITING.skipped for clock in clocks)
    try:
        yield
    finally:
        time.perf_counter, time.monotonic = clocks
        WAITING.sleeps = True


@torch.library.custom_op("slow::wait", mutates_args=())
def wait(x: Tensor, event: int) -> Tensor:
    """Zeros like ``x``, after 5 ms for each particle of ``event`` numbers."""
    WAITING(max(1, x.numel() // event))
    return torch.zeros_like(x)


wait.register_fake(lambda x, event: torch.empty_like(x))
wait.register_vmap(lambda info, dims, x, event: (wait(x, event), dims[0]))


def simulated(x: Tensor, event: int) -> Tensor:
    """``x`` after the wait, as a result that needs the simulator."""
    return x + wait(x.detach(), event)


def two_sensors() -> None:
    with pyro.plate("sensor", 2):
        position = pyro.sample("position", dist.Normal(torch.tensor([0.0, 0.3]), 1.5).to_event(1))
        position = simulated(position, 4)
        distance = (position[..., None, :] - torch.tensor(BEACONS).float()).norm(dim=-1)
        pyro.sample("to_beacon", dist.Normal(distance, 0.06).to_event(1), obs=torch.tensor(TO_BEACON).float())
    gap = (position[..., 0, :] - position[..., 1, :]).norm(dim=-1)
    pyro.sample("between", dist.Normal(gap, 0.8), obs=torch.tensor(BETWEEN))


def lotka_volterra() -> None:
    law = dist.Normal(torch.tensor(PRIOR_LOGS).float(), torch.tensor(PRIOR_STDS).float()).to_event(1)
    logs = simulated(pyro.sample("logs", law), 6)
    growth, eaten, death, gained = logs[..., :4].exp().unbind(-1)
    prey, predators, step, years = logs[..., 4], logs[..., 5], 1 / STEPS_A_YEAR, []

    def slope(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return growth - eaten * v.exp(), gained * u.exp() - death

    for number in range(YEARS * STEPS_A_YEAR):
        a, b = slope(prey, predators)
        c, d = slope(prey + 0.5 * step * a, predators + 0.5 * step * b)
        e, f = slope(prey + 0.5 * step * c, predators + 0.5 * step * d)
        g, h = slope(prey + step * e, predators + step * f)
        prey = prey + step / 6 * (a + 2 * c + 2 * e + g)
        predators = predators + step / 6 * (b + 2 * d + 2 * f + h)
        if (number + 1) % STEPS_A_YEAR == 0:
            years.append(torch.stack([prey, predators], -1))
    observed = torch.tensor(counts()).float()
    pyro.sample("counts", dist.Normal(torch.stack(years, -2), NOISE).to_event(2), obs=observed)


MODELS = {"two_sensors": two_sensors, "lotka_volterra": lotka_volterra}
