"""E[w] = Z for every process, reference, policy and number of steps, whatever the weights of the network."""

import math

import pytest
import torch

import amortized.processes
from amortized.path import rollout
from amortized.processes.base import Process
from amortized.processes.reference import MixtureReference
from tests.contracts.discovery import concrete_classes
from tests.known import gaussian, network, seeded

COUNT = 20_000
LOG_PARTITION = 1.3
REFERENCE = MixtureReference(
    torch.tensor([0.4, 0.6]),
    torch.tensor([[-0.5, 0.0], [0.8, 0.3]]),
    torch.stack([0.9 * torch.eye(2), torch.tensor([[1.0, 0.0], [0.4, 0.8]])]),
)


@pytest.mark.parametrize("steps", [1, 3, 8])
@pytest.mark.parametrize("learned_variance", [False, True], ids=["fixed", "learned"])
@pytest.mark.parametrize("langevin", [False, True], ids=["plain", "langevin"])
@pytest.mark.parametrize("reference", [None, REFERENCE], ids=["normal", "mixture"])
@pytest.mark.parametrize("process_class", concrete_classes(amortized.processes, Process))
@torch.no_grad()
def test_the_mean_weight_is_z(process_class, reference, langevin, learned_variance, steps):
    """Three standard errors of 20 000 weights; the error itself has to be small, or the test would say nothing."""
    target = gaussian([0.3, -0.2], [[0.5, 0.2], [0.2, 0.4]], LOG_PARTITION)
    policy = network(2, 0.1, seed=steps, depth=1, langevin=langevin, learned_variance=learned_variance)
    process = process_class(steps, 1.0, reference)
    path = rollout(process, policy, target, COUNT, seeded(steps))
    relative = (path.log_weight - LOG_PARTITION).exp()
    error = float(relative.std()) / math.sqrt(COUNT)
    assert error < 0.05
    assert abs(float(relative.mean()) - 1) < 3 * error
