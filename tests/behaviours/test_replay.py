"""Paths noised back from a buffer, and which ends it remembers."""

import math

import pytest
import torch

from amortized.behaviours import ContextBuffers, OnPolicy, RankPriority, Replay, ReplayBuffer, UniformPriority
from amortized.path import log_probs
from amortized.processes import OrnsteinUhlenbeck
from tests.behaviours.contexts import presented, remembered, whose
from tests.known import isotropic, network, seeded

PROCESS, TARGET = OrnsteinUhlenbeck(4), isotropic(1)


def filled(count: int, capacity: int | None = None) -> ReplayBuffer:
    """Row i has end i and density −(i − 3)², so that row 3 ranks first."""
    buffer = ReplayBuffer(dim=1, capacity=capacity or count)
    rows = torch.arange(count, dtype=torch.float32)
    buffer.add(rows[:, None], -(rows - 3).square())
    return buffer


@pytest.mark.parametrize("priority", [None, UniformPriority(), RankPriority()])
def test_replayed_paths_end_in_the_buffer(priority):
    """Rank 0 of 60 has log(1 + 1 / 0.6) / log(1 + 60 / 0.6) = 21 % of the draws under priorities, 1.7 % without."""
    buffer = filled(60)
    behaviour = Replay(buffer, priority)
    path = behaviour.propose(PROCESS, network(1), TARGET, 2000, seeded())
    rows = path.ends[:, 0].long()
    assert torch.equal(path.log_target, buffer.log_target[rows])
    best = float((rows == 3).double().mean())
    assert best > 0.15 if isinstance(priority, RankPriority) else best < 0.05


def test_an_empty_buffer_says_how_to_fill_it():
    with pytest.raises(ValueError, match=r"buffer\.add\(ends, log_target\)"):
        Replay(ReplayBuffer(dim=1)).propose(PROCESS, network(1), TARGET, 3)


@pytest.mark.parametrize("remember", [False, True])
def test_simulated_ends_are_remembered_with_their_weights_when_asked(remember):
    buffer, fresh = filled(4, capacity=10), torch.tensor([True, False, True])
    path = OnPolicy().propose(PROCESS, network(1, 0.2), TARGET, 3, seeded())
    assert path.states.requires_grad
    Replay(buffer, remember=remember).observe(path, fresh)
    assert len(buffer) == (6 if remember else 4)
    assert not buffer.ends.requires_grad
    if remember:
        assert torch.equal(buffer.ends[4:6], path.ends[fresh])
        assert torch.equal(buffer.log_weight[4:6], path.log_weight[fresh])


def test_its_own_ends_are_not_remembered_again():
    buffer = filled(4, capacity=10)
    replay = Replay(buffer)
    replay.observe(log_probs(PROCESS, network(1), replay.propose(PROCESS, network(1), TARGET, 3, seeded())))
    assert buffer.written == 4


@pytest.mark.parametrize("priority", [None, RankPriority()])
def test_ends_are_replayed_for_their_own_context_alone(priority):
    """Row i of a batch belongs to context i mod 3, one of them twice; however much larger another's densities are."""
    target = presented(3, 1, 3, 0)
    path = Replay(remembered(), priority).propose(PROCESS, network(1), target, 40, seeded())
    assert whose(path.ends) == [3, 1, 3, 0] * 10
    constant = torch.full((40,), 0.5 * math.log(2 * math.pi), dtype=torch.float64)
    torch.testing.assert_close(path.log_target - target.log_prob(path.ends), constant, atol=1e-3, rtol=0)
    assert path.indices is target.indices and path.context is target.context


def test_priorities_compare_ends_of_one_context_only():
    """The best of 20 ranks with log(1 + 1 / 0.2) / log(1 + 20 / 0.2) = 39 % of its own context's draws."""
    buffers = remembered()
    path = Replay(buffers, RankPriority()).propose(PROCESS, network(1), presented(0, 4), 2_000, seeded())
    for m, number in enumerate((0, 4)):
        best = buffers[number].ends[buffers[number].log_target[: len(buffers[number])].argmax()]
        share = float((path.ends[m::2] == best).double().mean())
        assert 0.3 < share < 0.5


def test_simulated_ends_are_remembered_for_their_own_context():
    buffers, target = ContextBuffers(1, 5), presented(2, 4)
    path = OnPolicy().propose(PROCESS, network(1, 0.2), target, 8, seeded())
    fresh = torch.tensor([True, True, False, True, True, False, False, False])
    Replay(buffers).observe(path, fresh)
    assert [len(buffers[number]) for number in range(5)] == [0, 0, 2, 0, 2]
    assert torch.equal(buffers[2].ends[:2], path.ends[[0, 4]]) and torch.equal(buffers[4].ends[:2], path.ends[[1, 3]])
    assert torch.equal(buffers[4].log_weight[:2], path.log_weight[[1, 3]])
    torch.testing.assert_close(buffers[4].log_target[:2], path.log_target[[1, 3]])


def test_counts_that_do_not_go_around_are_refused():
    with pytest.raises(ValueError, match="7 rows of 2 contexts: write a multiple, for instance 6"):
        Replay(remembered()).draw(presented(0, 1), 7)
    with pytest.raises(ValueError, match=r"the replay buffer is empty.*buffer\.add"):
        Replay(ContextBuffers(1, 5)).draw(presented(0, 1), 4)
    with pytest.raises(ValueError, match="one buffer for 2 contexts"):
        Replay(filled(4)).draw(presented(0, 1), 4)
