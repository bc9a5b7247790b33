"""Mixtures split a batch by shares and are on-policy only if all of their parts are."""

import pytest
import torch

from amortized.behaviours import Exploration, Mixture, OnPolicy, Replay, ReplayBuffer
from amortized.processes import OrnsteinUhlenbeck
from tests.known import isotropic, network, seeded


@pytest.mark.parametrize(
    ("shares", "batch", "counts"),
    [(None, 9, [3, 3, 3]), (None, 8, [2, 2, 4]), ((1, 1, 2), 8, [2, 2, 4]), ((0.1, 0.1, 0.8), 5, [0, 0, 5])],
)
def test_shares_split_the_batch(shares, batch, counts):
    assert Mixture(OnPolicy(), OnPolicy(), OnPolicy(), shares=shares).split(batch) == counts


@pytest.mark.parametrize("shares", [(1.0,), (1.0, 0.0), (1.0, -1.0)])
def test_impossible_shares_are_refused(shares):
    with pytest.raises(ValueError, match="one positive share for each of the 2"):
        Mixture(OnPolicy(), OnPolicy(), shares=shares)


def test_it_is_on_policy_only_if_every_part_is():
    assert Mixture(OnPolicy(), OnPolicy()).on_policy
    assert not Mixture(OnPolicy(), Exploration()).on_policy


@pytest.mark.parametrize("langevin", [False, True])
def test_each_part_fills_its_columns(langevin):
    buffer = ReplayBuffer(dim=2)
    buffer.add(torch.full((1, 2), 50.0), torch.zeros(1))
    process, policy, target = OrnsteinUhlenbeck(4), network(2, 0.2, langevin=langevin), isotropic(2)
    path = Mixture(Replay(buffer), OnPolicy(), shares=(1, 3)).propose(process, policy, target, 8, seeded())
    assert path.states.shape == (5, 8, 2)
    assert (path.ends[:2] == 50).all() and (path.ends[2:] < 50).all()
    assert (path.log_target[:2] == 0).all()
    assert path.scores is None if not langevin else path.scores.shape == (4, 8, 2)


def test_a_part_whose_share_rounds_to_nothing_proposes_nothing():
    mixture = Mixture(Replay(ReplayBuffer(dim=2)), OnPolicy(), shares=(1, 9))
    assert mixture.propose(OrnsteinUhlenbeck(4), network(2), isotropic(2), 5).states.shape == (5, 5, 2)


def test_every_part_observes():
    buffers = [ReplayBuffer(dim=2), ReplayBuffer(dim=2)]
    mixture = Mixture(Replay(buffers[0]), OnPolicy(), Replay(buffers[1], remember=False))
    mixture.observe(OnPolicy().propose(OrnsteinUhlenbeck(4), network(2), isotropic(2), 5))
    assert [len(buffer) for buffer in buffers] == [5, 0]
