"""Local search: when it searches, from where, and what joins the buffer."""

import math

import pytest
import torch

from amortized.behaviours import AnnealedSearch, LocalSearch, MALASearch, RankPriority, Replay, ReplayBuffer
from amortized.behaviours.searches import Found
from amortized.processes import OrnsteinUhlenbeck
from tests.known import gaussian, network, seeded

PROCESS, POLICY = OrnsteinUhlenbeck(4), network(2)
MEAN = torch.tensor([1.0, -1.0])


def normal():
    return gaussian([1.0, -1.0], [[0.5, 0.2], [0.2, 1.5]])


def started(ends: torch.Tensor, priority=None) -> Replay:
    buffer = ReplayBuffer(dim=2, capacity=20_000)
    buffer.add(ends, normal().log_prob(ends))
    return Replay(buffer, priority)


def test_the_default_search_is_adapted_mala():
    search = LocalSearch(started(torch.randn(10, 2))).search
    assert isinstance(search, MALASearch) and search.adapt and search.steps == 50


def test_it_searches_every_so_many_proposals():
    behaviour = LocalSearch(started(torch.randn(10, 2)), MALASearch(steps=2), every=3, chains=7)
    sizes = []
    for _ in range(5):
        behaviour.propose(PROCESS, POLICY, normal(), 4, seeded())
        sizes.append(len(behaviour.replay.buffer))
    assert sizes == [17, 17, 17, 24, 24]


def test_without_ends_only_a_search_that_needs_none_can_start():
    with pytest.raises(ValueError, match="buffer is empty"):
        LocalSearch(Replay(ReplayBuffer(2))).propose(PROCESS, POLICY, normal(), 4)
    behaviour = LocalSearch(Replay(ReplayBuffer(2)), AnnealedSearch(), chains=50)
    path = behaviour.propose(PROCESS, POLICY, normal(), 4, seeded())
    assert len(behaviour.replay.buffer) == 50 and path.ends.shape == (4, 2)


@pytest.mark.parametrize("priority", [None, RankPriority()])
def test_chains_start_where_the_replay_would_draw(priority):
    """The best of 400 ends has log(1 + 1 / 4) / log(101) = 4.8 % of the draws under priorities, 0.25 % without."""
    ends = torch.cat([MEAN[None], torch.full((399, 2), 500.0)])
    behaviour = LocalSearch(started(ends, priority), MALASearch(steps=0), chains=400)
    behaviour.refresh(normal(), seeded())
    near = float((behaviour.replay.buffer.ends[400:800] - MEAN).norm(dim=-1).lt(1).double().mean())
    assert near > 0.03 if priority else near < 0.02


def test_everything_found_joins_the_buffer_without_a_weight():
    behaviour = LocalSearch(started(torch.randn(10, 2)), MALASearch(steps=20, step_size=0.1, burn_in=5), chains=6)
    assert not math.isfinite(behaviour.acceptance)
    behaviour.refresh(normal(), seeded())
    buffer = behaviour.replay.buffer
    assert 10 + 6 * 8 < len(buffer) <= 10 + 6 * 15
    new = slice(10, len(buffer))
    torch.testing.assert_close(buffer.log_target[new], normal().log_prob(buffer.ends[new]).double())
    assert buffer.log_weight[new].isnan().all()
    assert behaviour.acceptance > 0.5


def test_finds_without_a_density_are_left_out():
    class Lost(MALASearch):
        def __call__(self, target, starts, generator=None):
            return Found(starts, torch.tensor([0.0, torch.nan, -torch.inf]), 0.0)

    behaviour = LocalSearch(started(torch.randn(10, 2)), Lost(), chains=3)
    behaviour.refresh(normal(), seeded())
    assert len(behaviour.replay.buffer) == 11


def test_simulated_ends_go_to_the_replay_and_replayed_ones_do_not():
    behaviour = LocalSearch(started(torch.randn(10, 2)), MALASearch(steps=1), chains=5)
    path = behaviour.propose(PROCESS, POLICY, normal(), 4, seeded())
    behaviour.observe(path)
    assert len(behaviour.replay.buffer) == 15
    behaviour.observe(path, torch.tensor([True, True, False, False]))
    assert len(behaviour.replay.buffer) == 17


def test_no_chains_are_refused():
    with pytest.raises(ValueError, match="chains=0"):
        LocalSearch(started(torch.randn(10, 2)), chains=0)
