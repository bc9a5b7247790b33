"""Corrected draws: of equal weight, nearer to the target, or refused by name."""

import pytest
import torch

from amortized.processes import OrnsteinUhlenbeck
from amortized.samplers import DiffusionSampler
from amortized.samplers.corrections import CORRECTIONS, corrected
from tests.known import gaussian, network, seeded

COUNT = 4_000


def draws(correction: str):
    target = gaussian([0.5, -0.3], [[0.8, 0.0], [0.0, 0.7]])
    sampler = DiffusionSampler(OrnsteinUhlenbeck(4), network(2))
    log_weights = sampler.sample(target, 500, seeded(1))[1]
    return corrected(sampler, target, COUNT, correction, log_weights, seeded())


@pytest.mark.parametrize("correction", ["resample", "mcmc", "sequential"])
def test_corrected_draws_have_the_targets_moments(correction):
    """The sampler itself draws N(0, I); five standard errors of 4 000 draws at an efficiency of one half."""
    ends, log_weights = draws(correction)
    assert log_weights is None and ends.shape == (COUNT, 2)
    error = 5 * (0.8 / (COUNT / 2)) ** 0.5
    assert (ends.mean(0) - torch.tensor([0.5, -0.3])).abs().max() < error
    assert (ends.var(0) - torch.tensor([0.8, 0.7])).abs().max() < error * 2**0.5


def test_plain_draws_come_with_their_weights():
    ends, log_weights = draws("none")
    assert ends.shape == (COUNT, 2) and log_weights.shape == (COUNT,)
    assert ends.mean(0).abs().max() < 5 * COUNT**-0.5


def test_another_word_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="correction='polish': write one of " + ", ".join(map(repr, CORRECTIONS))):
        draws("polish")
