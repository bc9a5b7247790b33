"""Linear processes: point masses, features, and a noising kernel that training can use."""

import math

import pytest
import torch
from torch import nn

from amortized._types import Control
from amortized.behaviours import OnPolicy
from amortized.objectives import TrajectoryBalance
from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian
from amortized.processes.linear import POINT_MASS_STD
from amortized.processes.transitions import log_normal
from amortized.simulation import rollout
from amortized.targets.callable import DensityTarget
from amortized.training.loop import Schedule, fit
from tests.known import network, seeded


def test_a_point_mass_has_log_density_zero_at_its_point():
    zero = torch.zeros(3, 5)
    assert log_normal(zero, zero, torch.tensor([POINT_MASS_STD])).abs().max() < 1e-6


def test_features_have_unit_deviation_under_the_reference(in_double_precision):
    """Bridges to draws of N(0, 2²): 20 000 of them, five standard errors of a deviation."""
    process = PinnedBrownian(5, scale=2.0)
    states = process.bridge(2.0 * torch.randn(20_000, 1))
    for k in range(1, 6):
        assert abs(float(process.features(k, states[k]).std()) - 1) < 5 / math.sqrt(2 * 20_000)


def small_funnel() -> DensityTarget:
    """``x_1 ~ N(0, 1), x_2 ~ N(0, e^{x_1})``; log Z = 0."""

    def log_prob(x: torch.Tensor) -> torch.Tensor:
        wide, narrow = x[:, 0], x[:, 1]
        return -0.5 * (wide.square() + narrow.square() * (-wide).exp() + wide) - math.log(2 * math.pi)

    return DensityTarget(log_prob, 2)


def bound_and_weight(learned: bool, steps: int) -> tuple[float, float, float]:
    """Mean log weight, mean weight and its error of 20 000 paths of four steps, after trajectory balance."""
    process = OrnsteinUhlenbeck(4, noising=network(2, width=32) if learned else None)
    policy = network(2, width=32)
    fit(process, policy, small_funnel(), TrajectoryBalance(), OnPolicy(), Schedule(steps, 128), seeded())
    fresh = network(2, width=32)
    if process.noising is not None:
        assert all(
            not torch.equal(now, then)
            for now, then in zip(process.noising.parameters(), fresh.parameters(), strict=True)
        )
    with torch.no_grad():
        log_weight = rollout(process, policy, small_funnel(), 20_000, seeded(1)).log_weight
    weight = log_weight.exp()
    return float(log_weight.mean()), float(weight.mean()), float(weight.std()) / math.sqrt(20_000)


def test_noising_learns_and_keeps_the_mean_weight():
    """Three standard errors of 20 000 weights."""
    _, mean, error = bound_and_weight(True, 20)
    assert error < 0.05 and abs(mean - 1) < 3 * error


@pytest.mark.parametrize("process_class", [OrnsteinUhlenbeck, PinnedBrownian])
def test_learned_noising_is_told_the_state_that_it_noises(process_class):
    """Its features and its time, t_{k+1}, whether the steps come one at a time or all at once."""
    told = []

    class Recording(nn.Module):
        def forward(self, x, t):
            told.append((x, t.expand(x.shape[:-1] + (1,))))
            return Control(torch.zeros_like(x), 0.0)

    process, y = process_class(4, noising=Recording()), torch.randn(4, 3, 2, generator=seeded())
    process.backward(torch.arange(4), y)
    features, times = told.pop()
    for k in range(4):
        process.backward(k, y[k])
        one, time = told.pop()
        assert torch.equal(one, process.features(k + 1, y[k])) and torch.equal(features[k], one)
        assert torch.equal(time, torch.full((3, 1), (k + 1) / 4)) and torch.equal(times[k], time)


@pytest.mark.slow
def test_learned_noising_tightens_the_bound():
    """The same budget with and without; the bounds' own error is under 0.005 nats."""
    assert bound_and_weight(True, 400)[0] > bound_and_weight(False, 400)[0] + 0.005


def test_the_averaged_weights_of_the_noising_are_what_training_leaves():
    """A callback sees the average; what it saw last is what the process has in the end, and it is not the last step."""
    process, seen = OrnsteinUhlenbeck(4, noising=network(2)), []

    def watch(step) -> bool:
        seen.append([weight.clone() for weight in step.parts["process"].parameters()])
        return False

    fit(process, network(2), small_funnel(), TrajectoryBalance(), OnPolicy(), Schedule(3, 16, callbacks=[watch]))
    assert len(seen[-1]) == len(list(process.parameters())) > 0
    for kept, averaged in zip(process.parameters(), seen[-1], strict=True):
        assert torch.equal(kept, averaged)
    assert any(not torch.equal(a, b) for a, b in zip(seen[0], seen[-1], strict=True))
