"""Local search: when it searches, from where, and what joins the buffer."""

import math

import pytest
import torch

from amortized.behaviours import AnnealedSearch, LocalSearch, MALASearch, RankPriority, Replay, ReplayBuffer
from amortized.behaviours.searches import Found
from amortized.path import log_probs
from amortized.processes import OrnsteinUhlenbeck
from tests.behaviours.contexts import presented, remembered, whose
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
    assert not math.isfinite(behaviour.acceptance_rate)
    behaviour.refresh(normal(), seeded())
    buffer = behaviour.replay.buffer
    assert 10 + 6 * 8 < len(buffer) <= 10 + 6 * 15
    new = slice(10, len(buffer))
    torch.testing.assert_close(buffer.log_target[new], normal().log_prob(buffer.ends[new]).double())
    assert buffer.log_weight[new].isnan().all()
    assert behaviour.acceptance_rate > 0.5


def test_finds_without_a_density_are_left_out():
    class Lost(MALASearch):
        def __call__(self, target, starts, generator=None):
            return Found(starts, torch.tensor([0.0, torch.nan, -torch.inf]), 0.0)

    behaviour = LocalSearch(started(torch.randn(10, 2)), Lost(), chains=3)
    behaviour.refresh(normal(), seeded())
    assert len(behaviour.replay.buffer) == 11


def test_simulated_ends_go_to_the_replay_and_replayed_ones_do_not():
    behaviour = LocalSearch(started(torch.randn(10, 2)), MALASearch(steps=1), chains=5)
    path = log_probs(PROCESS, POLICY, behaviour.propose(PROCESS, POLICY, normal(), 4, seeded()))
    behaviour.observe(path)
    assert len(behaviour.replay.buffer) == 15
    behaviour.observe(path, torch.tensor([True, True, False, False]))
    assert len(behaviour.replay.buffer) == 17


def test_no_chains_are_refused():
    with pytest.raises(ValueError, match="chains=0"):
        LocalSearch(started(torch.randn(10, 2)), chains=0)


@pytest.mark.parametrize("burn_in", [None, 3])
def test_finds_join_the_ring_of_their_own_context(burn_in):
    """Chains of three contexts side by side; some moves of each are kept."""
    buffers = remembered(each=5, capacity=400)
    behaviour = LocalSearch(Replay(buffers), MALASearch(steps=8, step_size=0.3, burn_in=burn_in), chains=31)
    behaviour.refresh(presented(4, 0, 2), seeded())
    for number in range(5):
        ring = buffers[number]
        found = ring.ends[5 : len(ring)]
        assert len(found) == 0 if number in (1, 3) else len(found) >= 10
        assert set(whose(found)) <= {number}
        torch.testing.assert_close(ring.log_target[5 : len(ring)], presented(number).log_prob(found).double())
    path = behaviour.propose(PROCESS, network(1), presented(4, 0, 2), 9, seeded())
    assert whose(path.ends) == [4, 0, 2] * 3


def test_a_search_that_forgets_its_starts_is_refused_for_several_contexts():
    class Forgetful(MALASearch):
        def __call__(self, target, starts, generator=None):
            return super().__call__(target, starts, generator)._replace(starts=None)

    behaviour = LocalSearch(Replay(remembered()), Forgetful(steps=1), chains=8)
    with pytest.raises(ValueError, match=r"Forgetful does not say which context .*; write search=MALASearch\(\)"):
        behaviour.refresh(presented(0, 1), seeded())


def test_few_chains_still_reach_every_context():
    buffers = remembered(each=1)
    LocalSearch(Replay(buffers), MALASearch(steps=1), chains=1).refresh(presented(0, 1, 2, 3, 4), seeded())
    assert [len(buffers[number]) for number in range(5)] == [2] * 5
