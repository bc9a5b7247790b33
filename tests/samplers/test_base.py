"""A sampler's paths: fair, scored, in chunks that change only the random numbers."""

import torch

from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian
from amortized.samplers import DiffusionSampler
from amortized.simulation import rollout
from tests.known import isotropic, network, seeded


def test_one_chunk_is_a_rollout_without_gradient():
    sampler = DiffusionSampler(PinnedBrownian(4), network(2, 0.2))
    ends, log_weights = sampler.sample(isotropic(2), 6, seeded())
    with torch.no_grad():
        path = rollout(sampler.process, sampler.policy, isotropic(2), 6, seeded())
    assert torch.equal(ends, path.ends) and torch.equal(log_weights, path.log_weight)
    assert not log_weights.requires_grad


def test_chunks_come_one_after_the_other():
    sampler = DiffusionSampler(OrnsteinUhlenbeck(4), network(2, 0.2, langevin=True))
    target, generator = isotropic(2), seeded()
    whole = sampler.sample(target, 7, generator, chunk=3)
    generator = seeded()
    pieces = [sampler.sample(target, size, generator) for size in (3, 3, 1)]
    assert whole[0].shape == (7, 2)
    for part in (0, 1):
        assert torch.equal(whole[part], torch.cat([piece[part] for piece in pieces]))


def test_process_and_policy_are_parts_of_the_module():
    sampler = DiffusionSampler(OrnsteinUhlenbeck(2), network(1))
    assert {name.split(".")[0] for name in sampler.state_dict()} == {"policy"}
    assert dict(sampler.named_children()).keys() == {"process", "policy"}
