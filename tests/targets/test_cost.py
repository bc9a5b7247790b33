"""The cost of a density is measured per particle."""

import time

import torch

from amortized.targets.callable import DensityTarget
from amortized.targets.cost import FULL_PLAN, calls_within, quicken, seconds_a_particle, timed


def test_a_slow_density_costs_what_it_burns():
    def slow(x):
        until = time.process_time() + 0.02
        while time.process_time() < until:
            pass
        return -x.square().sum(-1)

    cost = seconds_a_particle(DensityTarget(slow, dim=1), torch.zeros(128, 1))
    assert 0.02 / 128 <= cost < 0.2 / 128


def test_a_density_that_waits_costs_what_it_waits_and_few_calls():
    def waits(x):
        time.sleep(5e-3 * len(x))
        return -x.square().sum(-1)

    target = DensityTarget(waits, dim=1)
    assert 5e-3 <= seconds_a_particle(target, torch.zeros(128, 1)) < 20e-3
    assert target.calls <= 48  # twice 8, and 32 only where they take under 0.2 s


def test_a_call_with_a_fixed_cost_is_timed_at_a_large_batch():
    def fixed(x):
        time.sleep(0.01)
        return -x.square().sum(-1)

    assert calls_within(DensityTarget(fixed, dim=1), torch.zeros(128, 1), 30.0) > FULL_PLAN


def test_waiting_is_counted():
    found, seconds = timed(lambda: time.sleep(0.05) or 3)
    assert found == 3 and seconds >= 0.05


def test_a_density_is_compiled_where_its_calls_repay_it(monkeypatch):
    target, asked = DensityTarget(lambda x: -x.square().sum(-1), dim=1), []
    monkeypatch.setattr("amortized.targets.cost.seconds_a_particle", lambda target, x: 1e-3)
    monkeypatch.setattr(DensityTarget, "quicken", lambda self, seconds: asked.append(seconds) is None)
    assert quicken(target, torch.zeros(8, 1), calls=50_000, seconds=60.0)
    assert quicken(target, torch.zeros(8, 1), calls=50_000, seconds=30.0)
    assert asked == [50.0, 30.0]
