"""What every behaviour promises: whole paths, true densities at their ends, scores where they are needed, one seed."""

import pytest
import torch

import amortized.behaviours
from amortized.behaviours import Behaviour, Exploration, OnPolicy, Replay, ReplayBuffer
from amortized.objectives import LogVariance
from amortized.path import Path, score
from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian
from tests.contracts.discovery import build, concrete_classes
from tests.known import gaussian, network, seeded

BATCH, DIM, STEPS = 9, 2, 4
BEHAVIOURS = concrete_classes(amortized.behaviours, Behaviour)
every_behaviour = pytest.mark.parametrize("behaviour_class", BEHAVIOURS)
every_process = pytest.mark.parametrize("process_class", [OrnsteinUhlenbeck, PinnedBrownian])
langevin_or_not = pytest.mark.parametrize("langevin", [False, True], ids=["plain", "langevin"])


def normal():
    return gaussian([1.0, -1.0], [[0.5, 0.2], [0.2, 1.5]], log_partition=2.0)


def fresh(behaviour_class: type[Behaviour]) -> Behaviour:
    target, buffer = normal(), ReplayBuffer(DIM)
    ends = torch.randn(50, DIM, generator=seeded())
    buffer.add(ends, target.log_prob(ends))
    replay = Replay(buffer)
    return build(behaviour_class, buffer=buffer, replay=replay, behaviours=(OnPolicy(), replay, Exploration()))


def propose(behaviour_class, process_class, langevin: bool, seed: int = 0, batches: int = 2) -> list[Path]:
    process = process_class(STEPS)
    policy = network(DIM, 0.1, langevin=langevin)
    behaviour, generator, target = fresh(behaviour_class), seeded(seed), normal()
    paths = []
    for _ in range(batches):
        with torch.no_grad():
            path = behaviour.propose(process, policy, target, BATCH, generator)
        behaviour.observe(score(process, policy, path))
        paths.append(path)
    return paths


@langevin_or_not
@every_process
@every_behaviour
def test_paths_are_whole(behaviour_class, process_class, langevin):
    for path in propose(behaviour_class, process_class, langevin):
        assert path.states.shape == (STEPS + 1, BATCH, DIM)
        assert path.log_target.dtype == torch.float64
        torch.testing.assert_close(path.log_target, normal().log_prob(path.ends).double())
        if process_class is PinnedBrownian:
            assert (path.states[0] == 0).all()
        if langevin:
            visited = path.states[:-1].reshape(-1, DIM)
            expected = normal().log_prob_and_score(visited)[1].reshape(STEPS, BATCH, DIM)
            torch.testing.assert_close(path.scores, expected)
        else:
            assert path.scores is None


@every_process
@every_behaviour
def test_an_objective_can_take_them(behaviour_class, process_class):
    process, policy = process_class(STEPS), network(DIM)
    (path,) = propose(behaviour_class, process_class, False, batches=1)
    loss = LogVariance()(score(process, policy, path))
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
    """Densities that a rollout records are those that scoring finds; 9 paths of 4 steps in single precision."""
    (path,) = propose(behaviour_class, OrnsteinUhlenbeck, False, batches=1)
    policy = network(DIM, 0.1)
    again = score(OrnsteinUhlenbeck(STEPS), policy, path)
    torch.testing.assert_close(path.log_weight, again.log_weight, rtol=1e-4, atol=1e-4)
