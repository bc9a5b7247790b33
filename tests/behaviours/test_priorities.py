"""Frequencies of drawn rows are those that each priority states, and follow what is written later."""

import math
import pickle

import pytest
import torch

from amortized.behaviours import ImportancePriority, RankPriority, ReplayBuffer, RewardPriority, UniformPriority
from tests.known import seeded

DRAWS = 50_000
ALL = [UniformPriority(), RankPriority(), RewardPriority(), ImportancePriority()]
every_priority = pytest.mark.parametrize("priority", ALL, ids=lambda priority: type(priority).__name__)


def filled(log_target: list[float], log_weight: list[float] | None = None, capacity: int | None = None) -> ReplayBuffer:
    """Row i has end i."""
    count = len(log_target)
    buffer = ReplayBuffer(dim=1, capacity=capacity or count)
    weights = None if log_weight is None else torch.tensor(log_weight)
    buffer.add(torch.arange(float(count))[:, None], torch.tensor(log_target), weights)
    return buffer


def assert_frequencies(priority, buffer: ReplayBuffer, expected: torch.Tensor) -> None:
    """50 000 draws: each row's frequency within five standard errors."""
    frequencies = priority.rows(buffer, DRAWS, seeded()).bincount(minlength=buffer.capacity) / DRAWS
    error = (expected * (1 - expected) / DRAWS).sqrt()
    assert len(frequencies) == len(expected) and ((frequencies - expected).abs() <= 5 * error).all()


def test_uniform_draws_are_alike():
    expected = torch.tensor([0.2] * 5 + [0.0] * 4)
    assert_frequencies(UniformPriority(), filled([0.0, 1.0, 2.0, 3.0, 4.0], capacity=9), expected)


@pytest.mark.parametrize("weight", [0.05, 1e-6])
def test_ranks_follow_their_law(weight):
    """Rank r has ∫ dr / (offset + r) over [r, r + 1), normalised; row i of eight ranks 7 − i."""
    edges = (weight * 8 + torch.arange(9.0)).log()
    expected = edges.diff() / (edges[-1] - edges[0])
    buffer = filled([0.1 * row for row in range(8)])
    assert_frequencies(RankPriority(weight), buffer, expected.flip(0))
    assert expected[0] > 4 * expected[-1]


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_rewards_follow_the_tempered_density(temperature):
    """Densities far outside the range of exp, two of them exactly 0 beside the others."""
    log_target = torch.tensor([5_000.0, 5_001.0, 5_002.5, -9_000.0, -1e30])
    expected = (log_target / temperature).softmax(0)
    assert_frequencies(RewardPriority(temperature), filled(log_target.tolist()), expected)


def test_importance_follows_the_weights_and_not_the_density():
    log_weight = torch.tensor([-3_000.0, -3_001.0, -2_999.5, -9_000.0])
    buffer = filled([7.0, 0.0, 100.0, 8.0], log_weight.tolist())
    assert_frequencies(ImportancePriority(), buffer, log_weight.softmax(0))


def test_an_end_without_a_path_counts_as_the_mean_weight():
    """Weights 1 and 3 are known, so that each of two chains' ends is worth 2: probabilities 1, 3, 2, 2 of 8."""
    buffer = filled([0.0, 0.0], [400.0, 400.0 + math.log(3)], capacity=4)
    buffer.add(torch.zeros(2, 1), torch.zeros(2))
    assert_frequencies(ImportancePriority(), buffer, torch.tensor([1.0, 3.0, 2.0, 2.0]) / 8)


def test_no_weights_at_all_are_equal_weights():
    assert_frequencies(ImportancePriority(), filled([0.0, 5.0, 9.0, -3.0]), torch.full((4,), 0.25))


def test_importance_makes_sampled_ends_follow_the_target():
    """Draws of N(0, 2²) with their weights, beside exact draws: what is drawn is N(0, 1) up to 5 standard errors.

    Effective sample size of the weights: 20 000 / (4 / √7) = 13 000, so that the error of the variance is below
    √(2 / 10 000).
    """
    x = 2 * torch.randn(20_000, 1, generator=seeded(1))
    log_target = -0.5 * x[:, 0].square()
    buffer = ReplayBuffer(dim=1, capacity=40_000)
    buffer.add(x, log_target, log_target + 0.125 * x[:, 0].square())
    exact = torch.randn(20_000, 1, generator=seeded(2))
    buffer.add(exact, -0.5 * exact[:, 0].square())
    rows = ImportancePriority().rows(buffer, 20_000, seeded())
    assert abs(float(buffer.ends[rows].var()) - 1) < 5 * math.sqrt(2 / 10_000)
    assert abs(float((rows < 20_000).double().mean()) - 0.5) < 0.05


@pytest.mark.parametrize("priority", [RankPriority(), RewardPriority(), ImportancePriority()])
def test_new_rows_are_followed(priority):
    buffer = filled([0.0, 1.0, 2.0, 3.0], [0.0, 1.0, 2.0, 3.0], capacity=10)
    priority.rows(buffer, 1)
    buffer.add(torch.tensor([[77.0]]), torch.tensor([1000.0]), torch.tensor([1000.0]))
    rows = priority.rows(buffer, 2000, seeded())
    assert buffer.ends[rows.mode().values].item() == 77.0


def test_a_large_buffer_is_sorted_only_after_a_share_of_new_rows():
    """Of 1 000 rows 10 may be new: until then the last is never drawn, and at 11 it is half of the draws and more."""
    buffer, priority = filled([0.0] * 1000, capacity=2000), RewardPriority(refresh=0.01)
    priority.rows(buffer, 1)
    for _ in range(10):
        buffer.add(torch.zeros(1, 1), torch.tensor([50.0]))
    assert priority.rows(buffer, 500, seeded()).max() < 1000
    buffer.add(torch.zeros(1, 1), torch.tensor([50.0]))
    assert (priority.rows(buffer, 500, seeded()) >= 1000).all()


@every_priority
def test_one_priority_may_serve_two_buffers_and_be_pickled(priority):
    small, large = filled([0.0] * 3), filled([0.0] * 50)
    again = pickle.loads(pickle.dumps(priority))
    for buffer in (small, large, small):
        rows = priority.rows(buffer, 200, seeded())
        assert rows.max() == len(buffer) - 1
        assert torch.equal(rows, again.rows(buffer, 200, seeded()))


def test_impossible_numbers_are_refused():
    with pytest.raises(ValueError, match="weight=0"):
        RankPriority(weight=0)
    with pytest.raises(ValueError, match="temperature=-1"):
        RewardPriority(temperature=-1)
    with pytest.raises(ValueError, match="refresh=1"):
        RankPriority(refresh=1)
