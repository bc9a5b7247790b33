"""Paths noised back from a buffer, and which ends it remembers."""

import pytest
import torch

from amortized.behaviours import OnPolicy, RankPriority, Replay, ReplayBuffer, UniformPriority
from amortized.processes import OrnsteinUhlenbeck
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
    replay.observe(replay.propose(PROCESS, network(1), TARGET, 3, seeded()))
    assert buffer.written == 4
