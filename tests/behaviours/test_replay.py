"""The ring of ends, its priorities, and paths noised back from it."""

import math

import pytest
import torch

from amortized.behaviours import Replay, ReplayBuffer
from amortized.path import Path
from amortized.processes import OrnsteinUhlenbeck
from tests.known import isotropic, network, seeded


def filled(count: int, capacity: int | None = None) -> ReplayBuffer:
    """Row i has end i and density −(i − 3)², so that row 3 ranks first."""
    buffer = ReplayBuffer(dim=1, capacity=capacity or count)
    rows = torch.arange(count, dtype=torch.float32)
    buffer.add(rows[:, None], -(rows - 3).square())
    return buffer


def test_the_ring_wraps_and_keeps_rows_together():
    buffer = ReplayBuffer(dim=1, capacity=5)
    for start in (0, 3, 6):
        ends = torch.arange(start, start + 3, dtype=torch.float32)
        buffer.add(ends[:, None], 10 * ends)
    assert len(buffer) == 5
    assert sorted(buffer.ends[:, 0].tolist()) == [4, 5, 6, 7, 8]
    assert torch.equal(buffer.log_target, 10 * buffer.ends[:, 0].double())


def test_more_than_the_capacity_at_once_keeps_the_last():
    buffer = filled(12, capacity=5)
    assert sorted(buffer.ends[:, 0].tolist()) == [7, 8, 9, 10, 11]
    assert len(buffer) == 5


def test_densities_that_are_not_finite_are_left_out():
    buffer = ReplayBuffer(dim=1, capacity=5)
    buffer.add(torch.arange(4.0)[:, None], torch.tensor([0.0, -torch.inf, torch.nan, 1.0]))
    assert len(buffer) == 2
    assert buffer.ends[:2, 0].tolist() == [0.0, 3.0]


def test_uniform_draws_are_alike():
    """20 000 draws of 5 rows that are filled out of 9: frequencies within five standard errors."""
    buffer = filled(5, capacity=9)
    frequencies = buffer.uniform(20_000, seeded()).bincount(minlength=9) / 20_000
    assert (frequencies[:5] - 0.2).abs().max() < 5 * math.sqrt(0.2 * 0.8 / 20_000)
    assert (frequencies[5:] == 0).all()


def test_priorities_follow_the_rank():
    """Row of rank r has ∫ dr / (offset + r) over [r, r + 1), normalised; 50 000 draws, five standard errors."""
    buffer, weight = filled(8), 0.05
    frequencies = buffer.by_rank(50_000, weight, seeded()).bincount(minlength=8) / 50_000
    by_rank = frequencies[buffer.log_target.argsort(descending=True)]
    offset = weight * 8
    edges = (offset + torch.arange(9.0)).log()
    expected = edges.diff() / (edges[-1] - edges[0])
    assert ((by_rank - expected).abs() < 5 * (expected * (1 - expected) / 50_000).sqrt()).all()
    assert expected[0] > 4 * expected[-1]


def test_priorities_follow_new_rows():
    buffer = filled(4, capacity=10)
    buffer.by_rank(1)
    buffer.add(torch.tensor([[77.0]]), torch.tensor([1000.0]))
    rows = buffer.by_rank(2000, 0.01, seeded())
    assert buffer.ends[rows.mode().values].item() == 77.0


@pytest.mark.parametrize("prioritize", [False, True])
def test_replayed_paths_end_in_the_buffer(prioritize):
    """Rank 0 of 60 has log(1 + 1 / 0.6) / log(1 + 60 / 0.6) = 21 % of the draws under priorities, 1.7 % without."""
    buffer = filled(60)
    behaviour = Replay(buffer, prioritize=prioritize)
    path = behaviour.propose(OrnsteinUhlenbeck(4), network(1), isotropic(1), 2000, seeded())
    rows = path.ends[:, 0].long()
    assert torch.equal(path.log_target, buffer.log_target[rows])
    best = float((rows == 3).double().mean())
    assert best > 0.15 if prioritize else best < 0.05


def test_an_empty_buffer_says_how_to_fill_it():
    with pytest.raises(ValueError, match=r"buffer\.add\(ends, log_target\)"):
        Replay(ReplayBuffer(dim=1)).propose(OrnsteinUhlenbeck(4), network(1), isotropic(1), 3)


@pytest.mark.parametrize("remember", [False, True])
def test_visited_ends_are_remembered_when_asked(remember):
    buffer = filled(4, capacity=10)
    path = Path(states=torch.full((2, 3, 1), 9.0, requires_grad=True), log_target=torch.ones(3, dtype=torch.float64))
    Replay(buffer, remember=remember).observe(path)
    assert len(buffer) == (7 if remember else 4)
    assert not buffer.ends.requires_grad
