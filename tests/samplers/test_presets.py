"""Every preset names its parts, hands its options on, and starts as its reference."""

import pytest
import torch

from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian, Underdamped, VariancePreserving
from amortized.processes.grids import Power
from amortized.processes.mixture_reference import MixtureReference
from amortized.processes.transitions import StudentT
from amortized.samplers import DDS, DIS, PIS, UDS, GFlowNet
from amortized.simulation import rollout
from tests.known import isotropic, seeded

PROCESSES = {PIS: PinnedBrownian, DDS: OrnsteinUhlenbeck, DIS: VariancePreserving, GFlowNet: OrnsteinUhlenbeck}
every_linear = pytest.mark.parametrize("preset", PROCESSES, ids=lambda preset: preset.__name__)
every_preset = pytest.mark.parametrize("preset", [*PROCESSES, UDS], ids=lambda preset: preset.__name__)


@every_linear
def test_options_reach_the_parts(preset):
    reference = MixtureReference(torch.ones(1), torch.zeros(1, 3), torch.eye(3)[None])
    transition = StudentT(4.0)
    sampler = preset(3, reference, steps=5, width=11, langevin=False, transition=transition, grid=Power(2.0))
    assert type(sampler.process) is PROCESSES[preset]
    assert (sampler.process.steps, sampler.process.reference) == (5, reference)
    assert sampler.process.transition is transition
    torch.testing.assert_close(sampler.process.times, Power(2.0)(5))
    assert sampler.policy.read_state.out_features == 11
    assert not sampler.policy.needs_score and preset(3, langevin=True).policy.needs_score
    assert preset(3, langevin=True, tempered=True).policy.tempered
    for learned in (False, True):
        assert (preset(3, learned_variance=learned).policy.log_variance is not None) == learned
        assert (preset(3, learned_noising=learned).process.noising is not None) == learned
        prior = preset(3, scale=2.0, learned_prior=learned).process.reference
        assert (prior is not None) == learned
    trained = preset(3, reference, learned_prior=True).process.reference
    assert {name for name, _ in trained.named_parameters()} == set(reference.learnable)
    assert not list(reference.parameters())


def test_the_papers_process_is_an_option_of_the_generative_flow_network():
    assert type(GFlowNet(2, process=PinnedBrownian).process) is PinnedBrownian


def test_the_underdamped_preset_carries_velocities():
    sampler = UDS(3, steps=4, duration=2.0, friction=1.5)
    assert isinstance(sampler.process, Underdamped)
    assert (sampler.process.duration, sampler.process.friction) == (2.0, 1.5)
    assert sampler.sample(isotropic(3), 5, seeded())[0].shape == (5, 3)


@every_preset
def test_untrained_it_samples_a_gaussian_reference_exactly(preset):
    """With the target equal to the reference every weight is Z; single precision over up to 32 steps."""
    _, log_weight = preset(2).sample(isotropic(2, log_partition=3.0), 50, seeded())
    assert (log_weight - 3.0).abs().max() < 1e-3


@every_linear
def test_a_learned_diagonal_prior_starts_as_the_reference_and_moves(preset):
    """N(0, 2² I) said by the prior's scale or by the learned prior: the same weights, single precision."""
    sampler = preset(2, scale=2.0, learned_prior=True)
    _, log_weight = sampler.sample(isotropic(2, 2.0, log_partition=3.0), 50, seeded())
    assert (log_weight - 3.0).abs().max() < 1e-3
    path = rollout(sampler.process, sampler.policy, isotropic(2), 20, seeded())
    path.log_weight.mean().backward()
    assert all(
        bool(p.grad.abs().sum() > 0) for n, p in sampler.process.named_parameters() if n != "reference.log_weights"
    )
