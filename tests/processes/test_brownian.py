"""Brownian motion from a point: its start, its equal steps, its bridge."""

import math

import torch

from amortized.processes import PinnedBrownian
from amortized.simulation import rollout
from tests.known import isotropic, network, seeded


def test_every_path_starts_at_zero_with_log_density_zero():
    process = PinnedBrownian(4, 2.0)
    start = process.sample_prior(3, 2)
    assert (start == 0).all()
    assert process.log_prior(start).abs().max() < 1e-6


def test_steps_are_independent_and_equal(in_double_precision):
    """Increments of variance scale² / K: 20 000 paths, five standard errors of a variance and of a correlation."""
    process, count = PinnedBrownian(4, 2.0), 20_000
    states = rollout(process, network(1), isotropic(1), count, seeded()).states[..., 0]
    steps = states.diff(dim=0)
    covariance = torch.cov(steps)
    assert (covariance.diagonal() - 1.0).abs().max() < 5 * math.sqrt(2 / count)
    assert (covariance - covariance.diagonal().diag()).abs().max() < 5 / math.sqrt(count)


def test_signal_and_noise():
    t = torch.tensor([0.0, 0.25, 1.0])
    process = PinnedBrownian(4, 2.0)
    assert process.signal(t).tolist() == [0.0, 0.25, 1.0]
    assert process.noise_variance(t).tolist() == [0.0, 0.75, 0.0]
