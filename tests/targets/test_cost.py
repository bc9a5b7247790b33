"""The cost of a density is measured per particle."""

import time

import torch

from amortized.targets.callable import DensityTarget
from amortized.targets.cost import seconds_a_particle, timed


def test_a_slow_density_costs_what_it_burns():
    def slow(x):
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass
        return -x.square().sum(-1)

    cost = seconds_a_particle(DensityTarget(slow, dim=1), torch.zeros(64, 1), particles=32)
    assert 0.02 / 32 <= cost < 0.2 / 32


def test_waiting_is_not_counted():
    found, seconds = timed(lambda: time.sleep(0.05) or 3)
    assert found == 3 and seconds < 0.04
