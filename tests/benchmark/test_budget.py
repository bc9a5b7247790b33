"""A budget has one limit; its meter stops a run there, and paces it on the way."""

import copy

import pytest
import torch
from torch import nn

from amortized.behaviours import OnPolicy
from amortized.benchmark.budget import Budget, Meter, NetworkCalls
from amortized.objectives import LogVariance
from amortized.processes import OrnsteinUhlenbeck
from amortized.training.callbacks import History
from amortized.training.loop import Schedule, fit
from tests.known import isotropic, network, seeded


def run(budget: Budget) -> tuple[History, Meter]:
    target, history = isotropic(2), History()
    meter = Meter(budget, target)
    parts = OrnsteinUhlenbeck(4), network(2), target, LogVariance(), OnPolicy()
    fit(*parts, Schedule(10_000, 8, callbacks=[history, meter], pace=meter.pace), seeded())
    return history, meter


def test_steps_are_counted():
    history, meter = run(Budget(steps=7))
    assert len(history.losses) == 7
    assert [meter.pace(step) for step in (0, 7, 9)] == [0.0, 1.0, 1.0]


def test_energy_calls_are_counted():
    history, meter = run(Budget(energy_calls=40))
    assert (len(history.losses), meter.energy_calls) == (5, 40)


@pytest.mark.parametrize("clock", ["process", "wall"])
def test_seconds_are_counted(clock):
    history, meter = run(Budget(seconds=0.2, clock=clock))
    assert len(history.losses) > 1 and 0.2 <= meter.seconds < 20


@pytest.mark.parametrize(
    ("limits", "named"),
    [({}, "none"), ({"steps": 3, "seconds": 1.0}, "steps.*seconds|seconds.*steps"), ({"steps": 0}, "must be positive")],
)
def test_a_budget_that_is_none_is_refused(limits, named):
    with pytest.raises(ValueError, match=named):
        Budget(**limits)


def test_another_clock_is_refused():
    with pytest.raises(ValueError, match="clock='sun'"):
        Budget(steps=1, clock="sun")


def test_calls_of_a_copied_network_count_too():
    network = nn.Linear(2, 1)
    calls = NetworkCalls(network)
    copy.deepcopy(network)(torch.zeros(3, 2))
    network(torch.zeros(4, 2))
    assert calls.count == 7


def test_a_meter_counts_from_where_it_was_set():
    target = isotropic(1)
    target.log_prob(torch.zeros(5, 1))
    meter = Meter(Budget(energy_calls=10), target)
    target.log_prob(torch.zeros(4, 1))
    assert meter.energy_calls == 4 and meter.pace(1) == 0.4
