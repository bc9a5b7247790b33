"""Mixtures split a batch by shares and are on-policy only if all of their parts are."""

from dataclasses import fields, replace

import pytest
import torch

from amortized.behaviours import Exploration, Mixture, OnPolicy, Replay, ReplayBuffer, Sleep
from amortized.behaviours.mixture import SHARED, concatenated
from amortized.path import ScoredPath, States, log_probs
from amortized.processes import OrnsteinUhlenbeck
from amortized.simulation import rollout, simulate
from tests.behaviours.contexts import presented, remembered, whose
from tests.known import SameFeatures, isotropic, network, seeded

PROCESS = OrnsteinUhlenbeck(4)


@pytest.mark.parametrize(
    ("shares", "batch", "counts"),
    [(None, 9, [3, 3, 3]), (None, 8, [2, 2, 4]), ((1, 1, 2), 8, [2, 2, 4]), ((0.1, 0.1, 0.8), 5, [0, 0, 5])],
)
def test_shares_split_the_batch(shares, batch, counts):
    assert Mixture(OnPolicy(), OnPolicy(), OnPolicy(), shares=shares).split(batch) == counts


@pytest.mark.parametrize("shares", [(1.0,), (1.0, 0.0), (1.0, -1.0)])
def test_impossible_shares_are_refused(shares):
    with pytest.raises(ValueError, match="one positive share for each of the 2"):
        Mixture(OnPolicy(), OnPolicy(), shares=shares)


def test_it_is_on_policy_only_if_every_part_is():
    assert Mixture(OnPolicy(), OnPolicy()).on_policy
    assert not Mixture(OnPolicy(), Exploration()).on_policy


@pytest.mark.parametrize("langevin", [False, True])
def test_each_part_fills_its_columns(langevin):
    buffer = ReplayBuffer(dim=2)
    buffer.add(torch.full((1, 2), 50.0), torch.zeros(1))
    process, policy, target = OrnsteinUhlenbeck(4), network(2, 0.2, langevin=langevin), isotropic(2)
    path = Mixture(Replay(buffer), OnPolicy(), shares=(1, 3)).propose(process, policy, target, 8, seeded())
    assert path.states.shape == (5, 8, 2)
    assert (path.ends[:2] == 50).all() and (path.ends[2:] < 50).all()
    assert (path.log_target[:2] == 0).all()
    assert (None if path.scores is None else path.scores.shape) == ((4, 8, 2) if langevin else None)


def test_a_part_whose_share_rounds_to_nothing_proposes_nothing():
    mixture = Mixture(Replay(ReplayBuffer(dim=2)), OnPolicy(), shares=(1, 9))
    assert mixture.propose(PROCESS, network(2), isotropic(2), 5).states.shape == (5, 5, 2)


def test_every_part_observes():
    buffers = [ReplayBuffer(dim=2), ReplayBuffer(dim=2)]
    mixture = Mixture(Replay(buffers[0]), OnPolicy(), Replay(buffers[1], remember=False))
    mixture.observe(OnPolicy().propose(PROCESS, network(2), isotropic(2), 5), torch.ones(5, dtype=torch.bool))
    assert [len(buffer) for buffer in buffers] == [5, 0]


@pytest.mark.parametrize("nested", [False, True])
def test_a_buffer_grows_by_the_simulated_ends_alone(nested):
    """Three batches of 8: 3 fresh and 3 explored paths each are new, 2 are replayed; no end is there twice."""
    buffer = ReplayBuffer(dim=2)
    buffer.add(torch.randn(10, 2, generator=seeded(9)), torch.zeros(10))
    if nested:
        mixture = Mixture(Mixture(OnPolicy(), Exploration()), Mixture(Replay(buffer), Sleep()), shares=(6, 2))
    else:
        mixture = Mixture(OnPolicy(), Replay(buffer), Exploration(), shares=(3, 2, 3))
    policy, generator = network(2, 0.2), seeded()
    for _ in range(3):
        with torch.no_grad():
            path = mixture.propose(PROCESS, policy, isotropic(2), 8, generator)
        mixture.observe(log_probs(PROCESS, policy, path))
    assert len(buffer) == 10 + 3 * 6
    assert len(buffer.ends[: len(buffer)].unique(dim=0)) == len(buffer)
    assert buffer.log_weight[:10].isnan().all() and buffer.log_weight[10:28].isfinite().all()


def test_records_are_joined_field_by_field():
    """Whatever a record holds for each path follows in order; what is missing in one is missing in the whole."""
    policy = network(2, 0.2, langevin=True)
    paths = [rollout(PROCESS, policy, isotropic(2), count, seeded(count)) for count in (2, 3)]
    paths = [replace(path, context=torch.ones(1, 6), indices=torch.tensor([7])) for path in paths]
    whole = concatenated(paths)
    assert isinstance(whole, ScoredPath)
    for name in [field.name for field in fields(ScoredPath)]:
        first, second, both = (getattr(path, name) for path in (*paths, whole))
        if isinstance(first, torch.Tensor) and name not in SHARED:
            assert torch.equal(both, torch.cat([first, second], 0 if first.ndim == 1 else 1)), name
    assert torch.equal(whole.times, paths[0].times)
    assert torch.equal(whole.context, torch.ones(1, 6)) and whole.indices.tolist() == [7]
    torch.testing.assert_close(whole.log_weight, torch.cat([path.log_weight for path in paths]))
    torch.testing.assert_close(whole.log_marginal, torch.cat([path.log_marginal for path in paths], 1))
    unscored = [States(path.states, path.log_target) for path in paths]
    assert (
        type(concatenated([paths[0], unscored[1]])) is States and concatenated([paths[0], unscored[1]]).scores is None
    )


def test_what_one_simulation_kept_does_not_stand_for_all():
    policy = network(2, 0.2)
    parts = [simulate(PROCESS, policy, isotropic(2), count, seeded(count), record=True) for count in (3, 3)]
    assert parts[0].steering is not None and concatenated(parts[:1]).steering is parts[0].steering
    whole = log_probs(PROCESS, policy, concatenated(parts)).log_weight
    alone = torch.cat([log_probs(PROCESS, policy, part).log_weight for part in parts])
    torch.testing.assert_close(whole, alone, rtol=1e-4, atol=1e-4)


def test_nothing_to_mix_is_refused():
    with pytest.raises(ValueError, match=r"Mixture\(OnPolicy\(\), Replay\(buffer\)\)"):
        Mixture()


def test_every_part_serves_every_context():
    """20 paths of 4 contexts, 5 each: 2 of them fresh, 1 replayed, 2 found asleep."""
    buffers, target = remembered(), presented(1, 4, 0, 2)
    mixture = Mixture(OnPolicy(), Replay(buffers), Sleep(), shares=(2, 1, 2))
    policy = network(1, embedding=SameFeatures(1))
    with torch.no_grad():
        path = mixture.propose(PROCESS, policy, target, 20, seeded())
    assert mixture.split(20) == [8, 4, 8] and mixture.fresh(20).tolist() == [True] * 8 + [False] * 12
    torch.testing.assert_close(path.log_target[:8], target.log_prob(path.ends[:8]).double())
    assert whose(path.ends[8:12]) == [1, 4, 0, 2]
    assert torch.equal(path.indices, target.indices) and torch.equal(path.context, target.context)
    before = [len(buffers[number]) for number in range(5)]
    mixture.observe(log_probs(PROCESS, policy, path))
    assert [len(buffers[number]) - earlier for number, earlier in enumerate(before)] == [2, 2, 2, 0, 2]
    for number, m in ((1, 0), (4, 1), (0, 2), (2, 3)):
        new = buffers[number].ends[20:22]
        assert torch.equal(new, path.ends[[m, 4 + m]])


def test_uneven_shares_still_give_each_context_its_part():
    mixture = Mixture(OnPolicy(), OnPolicy(), shares=(1, 2))
    mixture.propose(PROCESS, network(1), presented(0, 1, 2), 12, seeded())
    assert mixture.split(12) == [3, 9]
