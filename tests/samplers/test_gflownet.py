"""The preset names its parts, and starts as its reference."""

import torch

from amortized.processes import OrnsteinUhlenbeck
from amortized.processes.reference import MixtureReference
from amortized.samplers import GFlowNet
from tests.known import isotropic, seeded


def test_options_reach_the_parts():
    reference = MixtureReference(torch.ones(1), torch.zeros(1, 3), torch.eye(3)[None])
    sampler = GFlowNet(3, reference, steps=5, width=11, langevin=False, learned_variance=False)
    assert type(sampler.process) is OrnsteinUhlenbeck
    assert (sampler.process.steps, sampler.process.reference) == (5, reference)
    assert sampler.policy.read_state.out_features == 11
    assert not sampler.policy.needs_score and sampler.policy.log_variance is None
    assert GFlowNet(3).policy.needs_score and GFlowNet(3).policy.log_variance is not None


def test_untrained_it_samples_a_gaussian_reference_exactly():
    """With the target equal to the reference every weight is Z; single precision over 16 steps."""
    _, log_weight = GFlowNet(2).sample(isotropic(2, log_partition=3.0), 50, seeded())
    assert (log_weight - 3.0).abs().max() < 1e-3
