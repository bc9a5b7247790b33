"""What every behaviour promises: whole paths, true densities at their ends, scores where they are needed, one seed.

And what every priority and every search of a replay promises.
"""

import pytest
import torch

import amortized.behaviours
import amortized.processes
from amortized.behaviours import (
    Behaviour,
    Exploration,
    LocalSearch,
    Mixture,
    OnPolicy,
    Priority,
    Replay,
    ReplayBuffer,
    Search,
)
from amortized.objectives import LogVariance
from amortized.path import States, log_probs
from amortized.processes.base import Process
from amortized.simulation import rollout
from tests.contracts.discovery import build, concrete_classes
from tests.known import gaussian, seeded, steering

BATCH, DIM, STEPS = 9, 2, 4
BEHAVIOURS = concrete_classes(amortized.behaviours, Behaviour)
every_behaviour = pytest.mark.parametrize("behaviour_class", BEHAVIOURS)
every_priority = pytest.mark.parametrize("priority_class", concrete_classes(amortized.behaviours, Priority))
every_search = pytest.mark.parametrize("search_class", concrete_classes(amortized.behaviours, Search))
PROCESSES = concrete_classes(amortized.processes, Process)
every_process = pytest.mark.parametrize("process_class", PROCESSES)
langevin_or_not = pytest.mark.parametrize("langevin", [False, True], ids=["plain", "langevin"])


def normal():
    return gaussian([1.0, -1.0], [[0.5, 0.2], [0.2, 1.5]], log_partition=2.0)


def fresh(behaviour_class: type[Behaviour]) -> Behaviour:
    target, buffer = normal(), ReplayBuffer(DIM)
    ends = torch.randn(50, DIM, generator=seeded())
    buffer.add(ends, target.log_prob(ends))
    replay = Replay(buffer)
    return build(behaviour_class, buffer=buffer, replay=replay, behaviours=(OnPolicy(), replay, Exploration()))


def propose(behaviour_class, process_class, langevin: bool, seed: int = 0, batches: int = 2) -> list[States]:
    process = process_class(STEPS)
    policy = steering(process, DIM, 0.1, langevin=langevin)
    behaviour, generator, target = fresh(behaviour_class), seeded(seed), normal()
    paths = []
    for _ in range(batches):
        with torch.no_grad():
            path = behaviour.propose(process, policy, target, BATCH, generator)
        behaviour.observe(log_probs(process, policy, path))
        paths.append(path)
    return paths


@langevin_or_not
@every_process
@every_behaviour
def test_paths_are_whole(behaviour_class, process_class, langevin):
    for path in propose(behaviour_class, process_class, langevin):
        process = process_class(STEPS)
        start = process.sample_prior(BATCH, DIM, seeded())
        assert path.states.shape == (STEPS + 1, *start.shape) and path.ends.shape == (BATCH, DIM)
        assert path.log_target.dtype == torch.float64
        torch.testing.assert_close(path.log_target, normal().log_prob(path.ends).double())
        if (start == 0).all():
            assert (path.states[0] == 0).all()
        if langevin:
            visited = process.layout.visited(torch.arange(STEPS), path.states[:-1]).reshape(-1, DIM)
            expected = normal().log_prob_and_score(visited)[1].reshape(STEPS, BATCH, DIM)
            torch.testing.assert_close(path.scores, expected)
        else:
            assert path.scores is None


@every_process
@every_behaviour
def test_an_objective_can_take_them(behaviour_class, process_class):
    process = process_class(STEPS)
    policy = steering(process, DIM)
    (path,) = propose(behaviour_class, process_class, False, batches=1)
    loss = LogVariance()(log_probs(process, policy, path))
    assert loss.shape == (BATCH,) and loss.isfinite().all()


@every_process
@every_behaviour
def test_the_same_seed_proposes_the_same_paths(behaviour_class, process_class):
    first, again = (propose(behaviour_class, process_class, True) for _ in range(2))
    other = propose(behaviour_class, process_class, True, seed=1)
    for one, two, three in zip(first, again, other, strict=True):
        assert torch.equal(one.states, two.states) and torch.equal(one.log_target, two.log_target)
        assert not torch.equal(one.states, three.states)


@pytest.mark.parametrize("behaviour_class", [member for member in BEHAVIOURS if member.on_policy])
def test_a_behaviour_that_says_on_policy_proposes_fair_paths(behaviour_class):
    """They are the paths of a rollout with the same seed."""
    (path,) = propose(behaviour_class, PROCESSES[0], False, batches=1)
    process = PROCESSES[0](STEPS)
    with torch.no_grad():
        fair = rollout(process, steering(process, DIM, 0.1), normal(), BATCH, seeded())
    assert torch.equal(path.states, fair.states)


def filled(count: int = 50) -> ReplayBuffer:
    buffer, ends = ReplayBuffer(DIM, capacity=1_000), torch.randn(count, DIM, generator=seeded())
    buffer.add(ends, normal().log_prob(ends))
    return buffer


@every_behaviour
def test_a_replay_beside_it_remembers_the_fresh_ends_alone(behaviour_class):
    """Three batches shared by a behaviour and a replay: the buffer grows by as many rows as were simulated."""
    behaviour, buffer = fresh(behaviour_class), filled()
    mixture, generator, process = Mixture(behaviour, Replay(buffer)), seeded(), PROCESSES[0](STEPS)
    policy = steering(process, DIM, 0.1)
    expected = len(buffer)
    for _ in range(3):
        with torch.no_grad():
            path = mixture.propose(process, policy, normal(), 2 * BATCH, generator)
        which = behaviour.fresh(BATCH)
        assert which.shape == (BATCH,) and which.dtype == torch.bool
        assert behaviour_class.on_policy <= bool(which.all())
        mixture.observe(log_probs(process, policy, path))
        expected += int(which.sum())
    assert len(buffer) == expected
    assert len(buffer.ends[:expected].unique(dim=0)) == expected


@every_priority
def test_a_priority_draws_rows_that_are_filled(priority_class):
    """Of 50 rows in a ring of 1 000, from one seed; more than one of them, and as many as asked for."""
    buffer = filled()
    rows, again = (priority_class().rows(buffer, 200, seeded()) for _ in range(2))
    assert rows.shape == (200,) and rows.dtype == torch.int64
    assert rows.min() >= 0 and rows.max() < 50 and len(rows.unique()) > 1
    assert torch.equal(rows, again)


@every_search
def test_a_search_leaves_exact_draws_exact(search_class):
    """2 000 exact draws: mean and variances within five standard errors of 1 000 draws, densities true, one seed.

    Half as many, since annealed particles share ancestors.
    """
    deviations = torch.tensor([0.5, 1.5]).sqrt()
    starts = (
        torch.tensor([1.0, -1.0])
        + torch.randn(2_000, DIM, generator=seeded()) @ torch.linalg.cholesky(torch.tensor([[0.5, 0.2], [0.2, 1.5]])).mT
    )
    found, again = (search_class()(normal(), starts, seeded(1)) for _ in range(2))
    torch.testing.assert_close(found.log_target, normal().log_prob(found.ends))
    assert torch.equal(found.ends, again.ends) and 0 < found.acceptance_rate <= 1
    error = (found.ends.mean(0) - torch.tensor([1.0, -1.0])) / deviations
    assert (error.abs() < 5 / 1_000**0.5).all()
    assert ((found.ends.std(0) / deviations).square() - 1).abs().max() < 5 * (2 / 1_000) ** 0.5


@every_search
@every_priority
def test_every_search_goes_with_every_priority(search_class, priority_class):
    behaviour = LocalSearch(Replay(filled(), priority_class()), search_class(), chains=20)
    process = PROCESSES[0](STEPS)
    path = behaviour.propose(process, steering(process, DIM), normal(), BATCH, seeded())
    assert len(behaviour.replay.buffer) == 70 and path.ends.shape == (BATCH, DIM)
