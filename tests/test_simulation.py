"""Simulations: one law with and without gradients, beliefs kept once, and few operators."""

import dataclasses

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from amortized.path import log_probs
from amortized.policies import LangevinMLP
from amortized.processes import OrnsteinUhlenbeck, PinnedBrownian, Underdamped
from amortized.processes.mixture_reference import MixtureReference
from amortized.processes.transitions import StudentT
from amortized.simulation import rollout, simulate
from tests.known import gaussian, seeded, steering

DIM, STEPS, BATCH = 2, 5, 6
REFERENCE = MixtureReference(
    torch.tensor([0.4, 0.6]), torch.tensor([[-1.0, 0.0], [1.0, 0.5]]), torch.stack([torch.eye(2), 0.5 * torch.eye(2)])
)
PROCESSES = {
    "ou": OrnsteinUhlenbeck(STEPS, 1.3),
    "student": PinnedBrownian(STEPS, 1.3, transition=StudentT()),
    "mixture": OrnsteinUhlenbeck(STEPS, reference=REFERENCE),
    "learned": OrnsteinUhlenbeck(STEPS, reference=REFERENCE.as_learned()),
    "underdamped": Underdamped(STEPS),
}
every_process = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)
langevin_or_not = pytest.mark.parametrize("langevin", [False, True], ids=["plain", "langevin"])


def target():
    return gaussian([1.0, -1.0], [[0.5, 0.2], [0.2, 1.5]], log_partition=2.0)


class Operators(TorchDispatchMode):
    """Counts calls of operators below autograd."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 1
        return function(*args, **(kwargs or {}))


@langevin_or_not
@every_process
def test_states_are_those_of_a_rollout_with_gradients(process, langevin, in_double_precision):
    """The network without gradients sums in another order: 1e-10 in double precision."""
    policy = steering(process, DIM, 0.2, langevin=langevin)
    path = simulate(process, policy, target(), BATCH, seeded(), inflation=1.3)
    whole = rollout(process, policy, target(), BATCH, seeded(), inflation=1.3)
    torch.testing.assert_close(path.states, whole.states, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(path.log_target, whole.log_target, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(log_probs(process, policy, path).log_weight, whole.log_weight, rtol=1e-9, atol=1e-9)
    assert whole.log_weight.requires_grad and not path.states.requires_grad


@every_process
def test_a_rollout_without_gradients_has_the_same_weights(process, in_double_precision):
    policy = steering(process, DIM, 0.2)
    with torch.no_grad():
        path = rollout(process, policy, target(), BATCH, seeded())
    whole = rollout(process, policy, target(), BATCH, seeded())
    torch.testing.assert_close(path.log_weight, whole.log_weight.detach(), rtol=1e-9, atol=1e-9)


@every_process
def test_beliefs_are_kept_where_a_reference_does_not_learn(process, in_double_precision):
    path = simulate(process, steering(process, DIM, 0.2), target(), BATCH, seeded())
    assert process.keeps_beliefs == (process is PROCESSES["mixture"])
    if not process.keeps_beliefs:
        assert path.belief is None
        return
    want = process.belief(torch.arange(STEPS), path.states[:-1])
    torch.testing.assert_close(path.belief.mean, want.mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(path.belief.std, want.std, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("learned_variance", "most"), [(False, 14), (True, 20)])
def test_a_step_takes_few_operators(learned_variance, most):
    """The network of arXiv 2402.05098, which has two hidden layers; the target is called once, at the ends."""
    policy, density = LangevinMLP(DIM, 64, depth=2, learned_variance=learned_variance), target()

    def operators(steps: int) -> int:
        process = PinnedBrownian(steps)
        simulate(process, policy, density, BATCH)  # prepares the tables
        with Operators() as counted:
            simulate(process, policy, density, BATCH)
        return counted.count

    assert operators(30) - operators(20) <= 10 * most


def test_what_was_kept_is_not_used_for_another_process(in_double_precision):
    """Its beliefs, and what its policy computed at its times."""
    process = OrnsteinUhlenbeck(STEPS, reference=REFERENCE)
    policy = steering(process, DIM, 0.3)
    path = simulate(process, policy, target(), BATCH, seeded(), record=True)
    nothing_kept = dataclasses.replace(path, steering=None, belief_means=None, belief_stds=None)
    for other in (OrnsteinUhlenbeck(STEPS), process.on(process.times.square())):
        mine, want = (log_probs(other, policy, each).log_weight for each in (path, nothing_kept))
        torch.testing.assert_close(mine, want)
