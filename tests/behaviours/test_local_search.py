"""Local search: chains that leave their target as it is, a step size that finds 0.574, ends that improve."""

import math

import torch

from amortized.behaviours import LocalSearch, Replay, ReplayBuffer
from amortized.processes import OrnsteinUhlenbeck
from tests.known import gaussian, network, seeded

PROCESS, POLICY = OrnsteinUhlenbeck(4), network(2)
COVARIANCE = torch.tensor([[0.5, 0.2], [0.2, 1.5]])
MEAN = torch.tensor([1.0, -1.0])


def normal():
    return gaussian([1.0, -1.0], COVARIANCE)


def started(ends: torch.Tensor) -> Replay:
    buffer = ReplayBuffer(dim=2, capacity=20_000)
    buffer.add(ends, normal().log_prob(ends))
    return Replay(buffer)


def test_exact_draws_stay_exact_draws():
    """5 000 chains from the target: five standard errors of means and of covariances."""
    chains = 5_000
    ends = MEAN + torch.randn(chains, 2, generator=seeded()) @ torch.linalg.cholesky(COVARIANCE).mT
    search = LocalSearch(started(ends), chains=chains, steps=30, step_size=0.3)
    search.search(normal(), seeded(1))
    buffer = search.replay.buffer
    new = buffer.ends[chains : 2 * chains]
    assert len(buffer) == 2 * chains
    assert ((new.mean(0) - MEAN).abs() < 5 * (COVARIANCE.diagonal() / chains).sqrt()).all()
    spread = COVARIANCE.diagonal()
    error = ((COVARIANCE.square() + spread[:, None] * spread) / chains).sqrt()
    assert ((torch.cov(new.T) - COVARIANCE).abs() < 5 * error).all()
    torch.testing.assert_close(buffer.log_target[chains : 2 * chains], normal().log_prob(new).double())


def test_the_step_size_adapts_to_the_best_acceptance():
    """From a hundred times too short and too long: with the step kept between searches, within 0.06 of 0.574."""
    for step_size in (0.005, 50.0):
        search = LocalSearch(started(torch.randn(500, 2) + MEAN), chains=500, steps=100, step_size=step_size)
        for round_ in range(2):
            search.search(normal(), seeded(round_))
        assert abs(search.acceptance - 0.574) < 0.06
        assert 0.1 < search.step_size < 3.0


def test_far_ends_come_home():
    search = LocalSearch(started(MEAN + 30 + torch.randn(200, 2)), chains=200, steps=200, step_size=0.1)
    search.search(normal(), seeded())
    new = search.replay.buffer.ends[200:400]
    assert (new - MEAN).norm(dim=-1).max() < 10


def test_it_searches_every_so_many_proposals_and_not_without_ends():
    search = LocalSearch(started(torch.randn(10, 2)), every=3, chains=7, steps=2)
    sizes = []
    for _ in range(5):
        search.propose(PROCESS, POLICY, normal(), 4, seeded())
        sizes.append(len(search.replay.buffer))
    assert sizes == [17, 17, 17, 24, 24]


def test_chains_start_where_the_replay_would_draw():
    """The best of 400 ends has log(1 + 1 / 4) / log(101) = 4.8 % of the draws under priorities, 0.25 % without."""
    ends = torch.cat([MEAN[None], torch.full((399, 2), 500.0)])
    for prioritize in (False, True):
        replay = started(ends)
        replay.prioritize = prioritize
        search = LocalSearch(replay, chains=400, steps=0)
        search.search(normal(), seeded())
        near = (replay.buffer.ends[400:800] - MEAN).norm(dim=-1) < 1
        assert float(near.double().mean()) > 0.03 if prioritize else float(near.double().mean()) < 0.02


def test_what_training_sees_goes_to_the_replay():
    search = LocalSearch(started(torch.randn(10, 2)))
    path = search.replay.propose(PROCESS, POLICY, normal(), 4, seeded())
    search.observe(path)
    assert len(search.replay.buffer) == 14
    assert not math.isfinite(search.acceptance)
