"""Recorded walks: on the CPU a recording runs its function again, which shows what is copied, kept and compared."""

import copy

import pytest
import torch

from amortized.behaviours import Exploration, OnPolicy
from amortized.behaviours.simulator import Simulator
from amortized.objectives import LogVariance
from amortized.path import log_probs
from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian, Underdamped
from amortized.processes.mixture_reference import MixtureReference
from amortized.simulation import simulate, start_of
from amortized.targets.callable import DensityTarget
from tests.known import SameFeatures, gaussian, network, seeded, steering

MIXTURE = MixtureReference(
    torch.tensor([0.4, 0.6]), torch.tensor([[-1.0, 0.0], [1.0, 0.5]]), torch.stack([torch.eye(2), 0.5 * torch.eye(2)])
)
PROCESSES = {
    "plain": OrnsteinUhlenbeck(5, 1.3),
    "mixture": OrnsteinUhlenbeck(5, reference=MIXTURE),
    "underdamped": Underdamped(5),
}
every_process = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)


class Again:
    """Runs the recorded function again, and writes its results where the first ones were, as a graph does."""

    def __init__(self, shift=0.0):
        self.made, self.replayed, self.shift = 0, 0, shift

    def __call__(self, function):
        self.made += 1
        found = [each.clone() for each in function()]

        def replay():
            self.replayed += 1
            for old, new in zip(found, function(), strict=True):
                old.copy_(new + self.shift)

        return found, replay


def target():
    return gaussian([1.0, -1.0], [[0.5, 0.2], [0.2, 1.5]], log_partition=2.0)


@torch.no_grad()
def proposed(simulator, process, policy, seed=0, inflation=1.0):
    return simulator(process, policy, target(), start_of(process, target(), 6, seeded(seed), inflation))


@every_process
@pytest.mark.parametrize("learned_variance", [False, True])
def test_replays_are_the_paths_of_a_simulation(process, learned_variance):
    record = Again()
    simulator, policy = Simulator(record), steering(process, 2, 0.2, learned_variance=learned_variance)
    other = process.on(torch.tensor([0.0, 0.1, 0.35, 0.5, 0.8, 1.0], dtype=torch.float64))
    for seed, laid, inflation in ((0, process, 1.0), (1, process, 1.3), (2, other, 1.0), (3, process, 1.0)):
        path = proposed(simulator, laid, policy, seed, inflation)
        want = simulate(laid, policy, target(), 6, seeded(seed), inflation)
        torch.testing.assert_close(path.states, want.states, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(path.log_target, want.log_target, rtol=1e-4, atol=1e-4)
        assert path.process is laid
        with torch.no_grad():
            for weight in policy.parameters():  # learns between two steps
                weight += 0.01
    assert (record.made, record.replayed, simulator.refused) == (1, 4, "")


@every_process
def test_a_replayed_path_has_the_slopes_of_a_plain_one_and_its_own_memory(process):
    simulator, policy = Simulator(Again()), steering(process, 2, 0.2, learned_variance=False)
    proposed(simulator, process, policy, 5)
    path = proposed(simulator, process, policy, 0)
    proposed(simulator, process, policy, 7)  # writes over the recording's memory
    want = simulate(process, policy, target(), 6, seeded(0), record=True)
    weights = list(policy.parameters())
    slopes = [
        torch.autograd.grad(LogVariance()(log_probs(process, policy, each)).mean(), weights) for each in (path, want)
    ]
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-4)
    assert path.steering.recall(policy, process.features(torch.arange(5), path.states[:-1]), None) is not None


def test_a_replay_that_differs_is_not_used():
    simulator, process = Simulator(Again(shift=0.01)), PROCESSES["plain"]
    policy = steering(process, 2, 0.2)
    path = proposed(simulator, process, policy)
    assert simulator.refused == "the first replay differs from the plain walk" and not simulator._walks
    torch.testing.assert_close(path.states, simulate(process, policy, target(), 6, seeded()).states)


def test_what_cannot_be_recorded_is_walked_plainly_and_tried_once():
    asked = []

    def fails(function):
        asked.append(1)
        raise RuntimeError("operation not permitted\nwhen stream is capturing")

    simulator, process = Simulator(fails), PROCESSES["plain"]
    policy = steering(process, 2, 0.2)
    for seed in (0, 1):
        path = proposed(simulator, process, policy, seed)
        torch.testing.assert_close(path.states, simulate(process, policy, target(), 6, seeded(seed)).states)
    assert simulator.refused == "operation not permitted" and asked == [1]


def test_scores_contexts_hooks_and_the_cpu_need_plain_walks():
    record, process = Again(), PROCESSES["plain"]
    for policy in (steering(process, 2, 0.2, langevin=True), hooked(steering(process, 2, 0.2))):
        proposed(Simulator(record), process, policy)
    proposed(Simulator(), process, steering(process, 2, 0.2))
    assert record.made == 0


def hooked(policy):
    policy.register_forward_pre_hook(lambda module, inputs: None)
    return policy


def test_another_policy_batch_or_number_of_steps_is_recorded_anew():
    record, process = Again(), PROCESSES["plain"]
    simulator, policy = Simulator(record), steering(process, 2, 0.2)
    proposed(simulator, process, policy)
    proposed(simulator, process.with_steps(7), policy)
    with torch.no_grad():
        longer = process.with_steps(7)
        simulator(longer, policy, target(), start_of(longer, target(), 8, seeded()))
    policy.shift = copy.deepcopy(policy.shift)  # other weights, in another place
    path = proposed(simulator, process, policy)
    torch.testing.assert_close(path.states, simulate(process, policy, target(), 6, seeded()).states)
    assert record.made == 4


@pytest.mark.parametrize("behaviour", [OnPolicy(), Exploration()])
def test_a_copy_of_a_behaviour_leaves_recordings_behind(behaviour):
    behaviour.simulator = Simulator(Again())
    proposed(behaviour.simulator, PROCESSES["plain"], steering(PROCESSES["plain"], 2, 0.2))
    assert behaviour.simulator._walks and not copy.copy(behaviour.simulator)._walks


@pytest.mark.gpu
def test_a_cuda_graph_gives_the_paths_of_the_plain_walk():
    process, policy = PinnedBrownian(8).cuda(), network(2, 0.2).cuda()
    there = DensityTarget(lambda x: -0.5 * x.square().sum(-1), 2, device="cuda")
    simulator = Simulator()
    with torch.no_grad():
        for seed in (0, 1):
            start = start_of(process, there, 64, torch.Generator("cuda").manual_seed(seed))
            path = simulator(process, policy, there, start)
            want = simulate(process, policy, there, 64, torch.Generator("cuda").manual_seed(seed))
            torch.testing.assert_close(path.states, want.states, rtol=1e-4, atol=1e-4)
    assert simulator.refused == "" and simulator._walks


def test_a_policy_that_reads_contexts_but_is_given_none_is_refused_as_before():
    policy = network(2, 0.2, embedding=SameFeatures(1))
    with pytest.raises(AssertionError):
        proposed(Simulator(), PROCESSES["plain"], policy)
