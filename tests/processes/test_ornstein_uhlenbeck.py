"""The stationary Ornstein-Uhlenbeck process: one law at every time, correlations of the cosine clock."""

import math

import torch

from amortized.processes import OrnsteinUhlenbeck
from amortized.simulation import rollout
from tests.known import isotropic, network, seeded


def test_signal_and_noise_keep_the_law(in_double_precision):
    t = torch.linspace(0, 1, 11)
    process = OrnsteinUhlenbeck(4, 2.0)
    assert process.signal(t)[0] == 0 and abs(process.signal(t)[-1] - 1) < 1e-15
    torch.testing.assert_close(process.signal(t).square() * 4 + process.noise_variance(t), torch.full((11,), 4.0))


def test_the_reference_is_stationary_and_correlated_as_the_signals_say(in_double_precision):
    """Variance scale² at every step, correlation c_k / c_{k+1} between neighbours; 20 000 paths, five errors."""
    process, count = OrnsteinUhlenbeck(4, 2.0), 20_000
    states = rollout(process, network(1), isotropic(1), count, seeded()).states[..., 0]
    assert (states.var(1) / 4 - 1).abs().max() < 5 * math.sqrt(2 / count)
    signal = process.signal(process.times)
    correlation = torch.corrcoef(states).diagonal(1)
    assert (correlation - signal[:-1] / signal[1:]).abs().max() < 5 / math.sqrt(count)


def test_the_prior_is_exact():
    process = OrnsteinUhlenbeck(4, 2.0)
    x = torch.tensor([[1.0, -2.0]])
    expected = torch.distributions.Normal(0.0, 2.0).log_prob(x).sum(-1)
    torch.testing.assert_close(process.log_prior(x), expected)
