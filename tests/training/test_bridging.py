"""A fit of bridges to scored draws: it stops where held-out draws say so, or at its deadline."""

import time

import torch

from amortized.mcmc.state import State
from amortized.samplers import GFlowNet
from amortized.training.bridging import LOOK, PATIENCE, fit_to_draws
from tests.known import isotropic, seeded


def normal_draws(count: int, seed: int) -> State:
    x = torch.randn(count, 2, generator=seeded(seed))
    return State(x, -0.5 * x.square().sum(-1), -x)


def test_it_stops_where_held_out_draws_get_no_likelier():
    """Of a Gaussian that is the reference nothing can be learned, so the first look is about the best."""
    sampler, target = GFlowNet(2, steps=8, langevin=False), isotropic(2)
    draws, held_out = normal_draws(200, 1), normal_draws(100, 2)
    steps = fit_to_draws(sampler, target, draws, held_out, time.perf_counter() + 60, seeded())
    assert steps < 20 * LOOK * PATIENCE
    assert target.calls == 0


def test_the_deadline_ends_it():
    began = time.perf_counter()
    steps = fit_to_draws(
        GFlowNet(2, steps=8, langevin=False), isotropic(2), normal_draws(50, 1), normal_draws(50, 2), began + 0.3
    )
    assert steps > 0
    assert time.perf_counter() - began < 5.0  # .3, three trials, and a machine that others use
