"""Exploration widens paths, and decays."""

import pytest
import torch

from amortized.behaviours import Exploration
from amortized.processes import OrnsteinUhlenbeck
from amortized.simulation import rollout
from tests.known import isotropic, network, seeded

PROCESS, POLICY, TARGET = OrnsteinUhlenbeck(4), network(2, 0.2), isotropic(2)


def inflated(by: float) -> torch.Tensor:
    return rollout(PROCESS, POLICY, TARGET, 5, seeded(), inflation=by).states


def proposed(behaviour: Exploration) -> torch.Tensor:
    return behaviour.propose(PROCESS, POLICY, TARGET, 5, seeded()).states


def test_inflation_decays_linearly_to_none():
    behaviour = Exploration(inflation=0.8, decay_steps=4)
    for expected in (1.8, 1.6, 1.4, 1.2, 1.0, 1.0):
        torch.testing.assert_close(proposed(behaviour), inflated(expected))


def test_without_decay_it_stays():
    behaviour = Exploration(inflation=0.8)
    for _ in range(3):
        assert torch.equal(proposed(behaviour), inflated(1.8))
    assert not torch.allclose(proposed(behaviour), inflated(1.0))


def test_it_is_not_on_policy():
    assert not Exploration().on_policy


def test_less_noise_is_refused():
    with pytest.raises(ValueError, match="inflation=-0.1"):
        Exploration(inflation=-0.1)
