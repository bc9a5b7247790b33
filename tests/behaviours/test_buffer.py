"""The ring of ends, one or one for each context: what it keeps, what it overwrites, what it leaves out."""

import pytest
import torch

from amortized.behaviours import ContextBuffers, ReplayBuffer
from tests.behaviours.contexts import presented, remembered, whose
from tests.known import seeded


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


def test_one_ring_is_refused_for_several_contexts():
    buffer = counted(3, capacity=5)
    assert buffer.of(presented(2)) == [buffer]
    with pytest.raises(ValueError, match=r"one buffer for 2 contexts would mix their ends; write ContextBuffers\(1"):
        buffer.of(presented(2, 4))
    with pytest.raises(ValueError, match=r"ends of contexts \[3, 7\] for one buffer; write ContextBuffers"):
        buffer.add(torch.zeros(3, 1), torch.zeros(3), indices=torch.tensor([7, 3, 7]))
    buffer.add(torch.zeros(2, 1), torch.zeros(2), indices=torch.tensor([7, 7]))
    assert len(buffer) == 5


def test_every_context_has_a_ring_of_its_own():
    """The same calls, row by row, on rings kept apart: equal content, whatever the sizes and what is not finite."""
    generator = seeded(1)
    buffers, alone = ContextBuffers(2, contexts=6, capacity=4), [ReplayBuffer(2, capacity=4) for _ in range(6)]
    for count in (1, 5, 40, 3, 0, 17):
        ends, indices = torch.randn(count, 2, generator=generator), torch.randint(5, (count,), generator=generator)
        log_target = torch.randn(count, generator=generator).double()
        log_target[::5] = -torch.inf
        log_weight = torch.randn(count, generator=generator).double() if count % 2 else None
        if log_weight is not None:
            log_weight[1::7] = torch.nan
        buffers.add(ends, log_target, log_weight, indices)
        for number in range(6):
            rows = indices == number
            alone[number].add(ends[rows], log_target[rows], None if log_weight is None else log_weight[rows])
    assert len(buffers) == sum(map(len, alone)) > 15
    for number, ring in enumerate(alone):
        found = buffers[number]
        assert len(found) == len(ring)
        for name in ("ends", "log_target", "log_weight"):
            stored, expected = getattr(found, name)[: len(ring)], getattr(ring, name)[: len(ring)]
            if name == "ends":
                assert sorted(stored.tolist()) == sorted(expected.tolist())
            order, expected_order = found.ends[: len(ring), 0].argsort(), ring.ends[: len(ring), 0].argsort()
            torch.testing.assert_close(stored[order], expected[expected_order], equal_nan=True)
    assert len(buffers[5]) == 0


def test_a_targets_contexts_are_found_by_their_indices():
    buffers = remembered()
    rings = buffers.of(presented(3, 0, 3))
    assert [set(whose(ring.ends[: len(ring)])) for ring in rings] == [{3}, {0}, {3}]
    nameless = presented(3, 0)
    nameless.indices = None
    with pytest.raises(ValueError, match=r"these contexts have no indices .*; write family.at\(rows, indices\)"):
        buffers.of(nameless)
    with pytest.raises(ValueError, match=r"whose ends are these\? write .*, indices=indices\)"):
        buffers.add(torch.zeros(1, 1), torch.zeros(1))
