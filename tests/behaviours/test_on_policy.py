"""Fresh paths are rollouts, nothing else."""

import torch

from amortized.behaviours import OnPolicy
from amortized.processes import OrnsteinUhlenbeck
from amortized.simulation import rollout
from tests.known import isotropic, network, seeded


def test_it_is_a_plain_rollout_and_says_so():
    process, policy, target = OrnsteinUhlenbeck(4), network(2, 0.2), isotropic(2)
    path = OnPolicy().propose(process, policy, target, 5, seeded())
    assert torch.equal(path.states, rollout(process, policy, target, 5, seeded()).states)
    assert OnPolicy.on_policy
