"""Corrected draws: of equal weight, nearer to the target, or refused by name."""

import pytest
import torch

from amortized.processes import OrnsteinUhlenbeck
from amortized.samplers import DiffusionSampler
from amortized.samplers.corrections import CORRECTIONS, corrected
from tests.known import Located, SameFeatures, gaussian, network, seeded

COUNT = 4_000


def draws(correction: str):
    target = gaussian([0.5, -0.3], [[0.8, 0.0], [0.0, 0.7]])
    sampler = DiffusionSampler(OrnsteinUhlenbeck(4), network(2))
    pilot = sampler.sample(target, 500, seeded(1))
    return corrected(sampler, target, COUNT, correction, pilot, seeded())


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


CONTEXTS = torch.tensor([[0.0, 0.0], [0.5, -0.3], [-0.4, 0.6]])


@pytest.mark.parametrize("correction", ["resample", "mcmc"])
@pytest.mark.parametrize("spread", [0.0, 0.05])
def test_every_context_is_corrected_from_its_own_draws(correction, spread):
    """Row i belongs to context i mod 3; moments as above, for each."""
    target = Located(CONTEXTS, 0.9)
    sampler = DiffusionSampler(OrnsteinUhlenbeck(4), network(2, spread, embedding=SameFeatures(2)))
    pilot = sampler.sample(target, 1_500, seeded(1))
    ends, found = corrected(sampler, target, COUNT, correction, pilot, seeded())
    assert found is None and ends.shape == (3 * COUNT, 2)
    error = 5 * (0.81 / (COUNT / 2)) ** 0.5
    for m in range(3):
        assert (ends[m::3].mean(0) - CONTEXTS[m]).abs().max() < error
        assert (ends[m::3].var(0) - 0.81).abs().max() < error * 2**0.5


def test_no_draw_changes_its_context():
    """A sampler whose draws say whose they are, under random weights."""

    class Known(DiffusionSampler):
        def sample(self, target, count, generator=None, chunk=4096):
            rows = torch.arange(count)
            return torch.stack([rows % 3, rows // 3], 1).float(), torch.randn(count, generator=generator).double()

    sampler = Known(OrnsteinUhlenbeck(4), network(2))
    ends, _ = corrected(sampler, Located(CONTEXTS), 50, "resample", (torch.zeros(30, 2), torch.zeros(30)), seeded())
    assert ends[:, 0].tolist() == [0.0, 1.0, 2.0] * 50


def test_a_context_out_of_reach_keeps_the_samplers_own_draws():
    class Beyond(Located):
        def _log_prob(self, x):
            value = super()._log_prob(x)
            value[1::3] = -torch.inf
            return value

    sampler = DiffusionSampler(OrnsteinUhlenbeck(4), network(2))
    pilot = sampler.sample(Beyond(CONTEXTS), 300, seeded(1))
    ends, _ = corrected(sampler, Beyond(CONTEXTS), COUNT, "resample", pilot, seeded())
    assert ends[1::3].mean(0).abs().max() < 5 * COUNT**-0.5
    assert (ends[2::3].mean(0) - CONTEXTS[2]).abs().max() < 5 * (1 / (COUNT / 2)) ** 0.5


def test_particles_of_several_contexts_are_refused():
    sampler = DiffusionSampler(OrnsteinUhlenbeck(4), network(2))
    with pytest.raises(ValueError, match="particles of 3 contexts would replace each other: give one"):
        corrected(sampler, Located(CONTEXTS), 10, "sequential", (torch.zeros(30, 2), torch.zeros(30)), seeded())


def test_one_context_is_corrected_along_the_path_too():
    target = Located(CONTEXTS[1:2], 0.9)
    sampler = DiffusionSampler(OrnsteinUhlenbeck(4), network(2, 0.05, embedding=SameFeatures(2)))
    ends, _ = corrected(sampler, target, COUNT, "sequential", (torch.zeros(30, 2), torch.zeros(30)), seeded())
    assert (ends.mean(0) - CONTEXTS[1]).abs().max() < 5 * (0.81 / (COUNT / 2)) ** 0.5
