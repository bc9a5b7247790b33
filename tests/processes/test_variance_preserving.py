"""The variance-preserving process: one law at every time, noised at a rate that rises in a line."""

import math

import torch

from amortized.processes import VariancePreserving
from amortized.simulation import rollout
from tests.known import isotropic, network, seeded


def test_signal_and_noise_keep_the_law(in_double_precision):
    t = torch.linspace(0, 1, 11)
    process = VariancePreserving(4, 2.0)
    assert process.signal(t)[-1] == 1 and process.noise_variance(t)[-1] == 0
    torch.testing.assert_close(process.signal(t).square() * 4 + process.noise_variance(t), torch.full((11,), 4.0))


def test_the_signal_decays_at_the_stated_rate(in_double_precision):
    """d log c / dt = β(t) / 2, β from 10 at the prior to 0.1 at the target."""
    t = torch.linspace(0, 1, 11, requires_grad=True)
    slope = torch.autograd.grad(VariancePreserving(4).signal(t).log().sum(), t)[0]
    torch.testing.assert_close(slope, 0.5 * (0.1 + 9.9 * (1 - t.detach())))


def test_the_reference_is_stationary_and_correlated_as_the_signals_say(in_double_precision):
    """Variance scale² at every step, correlation c_k / c_{k+1} between neighbours; 20 000 paths, five errors."""
    process, count = VariancePreserving(4, 2.0), 20_000
    states = rollout(process, network(1), isotropic(1), count, seeded()).states[..., 0]
    assert (states.var(1) / 4 - 1).abs().max() < 5 * math.sqrt(2 / count)
    signal = process.signal(process.times)
    assert (torch.corrcoef(states).diagonal(1) - signal[:-1] / signal[1:]).abs().max() < 5 / math.sqrt(count)
