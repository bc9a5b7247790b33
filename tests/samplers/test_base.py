"""A sampler's paths: fair, scored, in chunks that change only the random numbers."""

import torch

from amortized.path import rollout
from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian
from amortized.samplers import DiffusionSampler
from amortized.samplers.base import concatenate
from tests.known import isotropic, network, seeded


def test_one_chunk_is_a_rollout_without_gradient():
    sampler = DiffusionSampler(PinnedBrownian(4), network(2, 0.2))
    path = sampler.sample_paths(isotropic(2), 6, seeded())
    assert torch.equal(path.states, rollout(sampler.process, sampler.policy, isotropic(2), 6, seeded()).states)
    assert not path.log_weight.requires_grad


def test_chunks_come_one_after_the_other():
    sampler = DiffusionSampler(OrnsteinUhlenbeck(4), network(2, 0.2, langevin=True))
    target, generator = isotropic(2), seeded()
    path = sampler.sample_paths(target, 7, generator, chunk=3)
    generator = seeded()
    pieces = [sampler.sample_paths(target, size, generator) for size in (3, 3, 1)]
    assert path.states.shape == (5, 7, 2)
    for name in ("states", "log_forward", "log_backward"):
        assert torch.equal(getattr(path, name), torch.cat([getattr(piece, name) for piece in pieces], 1))
    assert torch.equal(path.log_weight, torch.cat([piece.log_weight for piece in pieces]))


def test_a_single_path_is_handed_on_as_it_is():
    path = DiffusionSampler(OrnsteinUhlenbeck(2), network(1)).sample_paths(isotropic(1), 3)
    assert concatenate([path]) is path


def test_process_and_policy_are_parts_of_the_module():
    sampler = DiffusionSampler(OrnsteinUhlenbeck(2), network(1))
    assert {name.split(".")[0] for name in sampler.state_dict()} == {"policy"}
    assert dict(sampler.named_children()).keys() == {"process", "policy"}
