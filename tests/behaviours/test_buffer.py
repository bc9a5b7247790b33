"""The ring of ends: what it keeps, what it overwrites, what it leaves out."""

import pytest
import torch

from amortized.behaviours import ReplayBuffer


def counted(count: int, capacity: int) -> ReplayBuffer:
    buffer = ReplayBuffer(dim=1, capacity=capacity)
    buffer.add(torch.arange(float(count))[:, None], torch.zeros(count))
    return buffer


def test_the_ring_wraps_and_keeps_rows_together():
    buffer = ReplayBuffer(dim=1, capacity=5)
    for start in (0, 3, 6):
        ends = torch.arange(start, start + 3, dtype=torch.float32)
        buffer.add(ends[:, None], 10 * ends, 100 * ends)
    assert len(buffer) == 5
    assert sorted(buffer.ends[:, 0].tolist()) == [4, 5, 6, 7, 8]
    assert torch.equal(buffer.log_target, 10 * buffer.ends[:, 0].double())
    assert torch.equal(buffer.log_weight, 100 * buffer.ends[:, 0].double())


def test_more_than_the_capacity_at_once_keeps_the_last():
    buffer = counted(12, capacity=5)
    assert sorted(buffer.ends[:, 0].tolist()) == [7, 8, 9, 10, 11]
    assert len(buffer) == 5


def test_what_is_not_finite_is_left_out():
    buffer = ReplayBuffer(dim=1, capacity=5)
    buffer.add(torch.arange(4.0)[:, None], torch.tensor([0.0, -torch.inf, torch.nan, 1.0]))
    assert len(buffer) == 2
    assert buffer.ends[:2, 0].tolist() == [0.0, 3.0]
    buffer.add(torch.arange(3.0)[:, None] + 10, torch.zeros(3), torch.tensor([torch.nan, 0.5, -torch.inf]))
    assert len(buffer) == 3 and buffer.ends[2, 0] == 11


def test_ends_without_a_path_have_no_weight():
    buffer = counted(3, capacity=5)
    buffer.add(torch.ones(1, 1), torch.zeros(1), torch.tensor([0.25]))
    assert buffer.log_weight[:3].isnan().all() and buffer.log_weight[3] == 0.25


def test_no_room_is_refused():
    with pytest.raises(ValueError, match="capacity=0"):
        ReplayBuffer(dim=1, capacity=0)
