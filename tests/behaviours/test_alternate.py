"""One behaviour a batch, in turn, and ends remembered from whoever simulated them."""

import pytest
import torch

from amortized.behaviours import Alternate, Exploration, LocalSearch, OnPolicy, RankPriority, Replay, ReplayBuffer
from amortized.path import log_probs
from amortized.processes import OrnsteinUhlenbeck
from tests.known import isotropic, network, seeded

PROCESS, POLICY, TARGET = OrnsteinUhlenbeck(4), network(2, 0.2), isotropic(2)


@torch.no_grad()
def batches(behaviour, count: int, batch: int = 5) -> list[torch.Tensor]:
    generator, ends = seeded(), []
    for _ in range(count):
        path = behaviour.propose(PROCESS, POLICY, TARGET, batch, generator)
        behaviour.observe(log_probs(PROCESS, POLICY, path))
        ends.append(path.ends)
    return ends


def test_every_behaviour_has_its_turn():
    buffer = ReplayBuffer(dim=2)
    buffer.add(torch.full((1, 2), 50.0), torch.zeros(1))
    alternate = Alternate(OnPolicy(), Replay(buffer, remember=False), OnPolicy())
    replayed = [bool((ends == 50).all()) for ends in batches(alternate, 6)]
    assert replayed == [False, True, False, False, True, False]


def test_a_buffer_that_starts_empty_grows_by_the_simulated_ends_alone():
    buffer = ReplayBuffer(dim=2)
    ends = batches(Alternate(Exploration(), Replay(buffer, RankPriority())), 6)
    assert buffer.written == 15
    assert torch.equal(buffer.ends[:15], torch.cat(ends[::2]))


def test_a_local_search_remembers_too():
    buffer = ReplayBuffer(dim=2)
    batches(Alternate(OnPolicy(), LocalSearch(Replay(buffer), every=2, chains=7)), 6)
    assert buffer.written == 15 + 2 * 7


def test_it_is_on_policy_only_if_every_part_is():
    assert Alternate(OnPolicy(), OnPolicy()).on_policy
    assert not Alternate(OnPolicy(), Exploration()).on_policy


def test_nobody_is_refused():
    with pytest.raises(ValueError, match=r"Alternate\(OnPolicy\(\), Replay\(buffer\)\)"):
        Alternate()
