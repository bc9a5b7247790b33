"""A recording replays what was done, without writes in place, and stops in time."""

import time

import pytest
import torch

from amortized.capture.tape import OutOfTime, Tape


def record(function, x, seconds=60.0):
    return Tape(time.monotonic() + seconds).record(function, x)


def test_a_replay_is_a_function_of_its_input():
    constant = torch.tensor([1.0, 2.0])

    def function(x):
        values, _ = (x * constant).sort(-1)
        return values.sum(-1), torch.func.vmap(torch.func.grad(lambda row: (row * constant).square().sum()))(x)

    recording = record(function, torch.randn(3, 2))
    x = torch.randn(3, 2)
    for got, want in zip(recording.replay()(x), function(x), strict=True):
        assert got.equal(want)


def test_what_nothing_needs_is_left_out():
    recording = record(lambda x: ((x.exp(), x.log(), x + 1)[-1],), torch.ones(2, 1))
    assert [step.kind for step in recording.steps] == ["input", "call"]


@pytest.mark.parametrize("shared", [False, True])
def test_writes_in_place_are_undone(shared):
    def function(x):
        total = x * 2
        view = total[:, 0] if shared else total
        view.add_(1)
        constant = torch.empty(2).fill_(3.0)
        return total * constant, view.exp()

    recording = record(function, torch.randn(3, 2))
    assert not recording.writes_in_place
    x = torch.randn(3, 2)
    for got, want in zip(recording.replay()(x), function(x), strict=True):
        assert got.equal(want)


def test_values_before_a_write_are_kept():
    def function(x):
        constant = torch.zeros(2)
        before = x + constant
        constant.add_(5)
        return before, x + constant

    recording = record(function, torch.zeros(1, 2))
    zeros = next(step for step in recording.steps if "zeros" in str(step.target))
    assert zeros.value.tolist() == [0.0, 0.0]


def test_recording_stops_in_time():
    with pytest.raises(OutOfTime):
        record(lambda x: (x + 1,), torch.zeros(1, 1), seconds=-1.0)
