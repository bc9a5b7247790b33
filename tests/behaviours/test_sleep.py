"""Dreams taken by their weights follow the target, and teach a policy nothing but the target."""

import math

import pytest
import torch

from amortized.behaviours import Replay, ReplayBuffer, Sleep
from amortized.objectives import MaximumLikelihood
from amortized.path import log_probs
from amortized.processes import OrnsteinUhlenbeck
from amortized.simulation import rollout
from tests.known import gaussian, isotropic, network, seeded

PROCESS = OrnsteinUhlenbeck(8)


@pytest.mark.parametrize("dreams", [1, 3])
def test_noised_back_ends_follow_the_target(dreams):
    """The policy samples N(0, 1), the target is N(0.5, 1): effective share exp(−0.25) = 78 % of the simulated paths."""
    batch = 4_000
    path = Sleep(dreams).propose(PROCESS, network(1), gaussian([0.5], [[1.0]]), batch, seeded())
    assert path.states.shape == (9, batch, 1)
    assert abs(float(path.ends.mean()) - 0.5) < 5 / math.sqrt(0.7 * batch)
    assert abs(float(path.ends.var()) - 1.0) < 5 * math.sqrt(2 / (0.5 * batch))
    torch.testing.assert_close(path.log_target, gaussian([0.5], [[1.0]]).log_prob(path.ends).double())


def test_ends_are_the_policys_own_each_as_often_as_it_weighs():
    """Systematic resampling takes each of ten ends ⌊10 w⌋ or ⌈10 w⌉ times."""
    policy, target = network(2, 0.2), isotropic(2)
    with torch.no_grad():
        own = rollout(PROCESS, policy, target, 10, seeded())
    ends = Sleep().propose(PROCESS, policy, target, 10, seeded()).ends
    counts = (ends[:, None] == own.ends[None]).all(-1).sum(0)
    assert counts.sum() == 10
    assert ((counts - 10 * own.log_weight.softmax(0)).abs() < 1).all()


def test_no_buffer_takes_its_ends():
    assert not Sleep().on_policy and not Sleep().fresh(4).any()


def test_its_gradient_is_that_of_exact_draws():
    """Maximum likelihood of 8 000 paths, from dreams and from exact draws: gradients point the same way.

    Two batches of exact draws agree up to a cosine of 0.999; dreams of effective share exp(−1) = 37 % up to 0.99.
    """
    target, exact = gaussian([1.0], [[1.0]]), ReplayBuffer(dim=1)
    draws = 1 + torch.randn(8_000, 1, generator=seeded(1))
    exact.add(draws, target.log_prob(draws))
    gradients = []
    for behaviour in (Sleep(), Replay(exact)):
        policy = network(1)
        path = log_probs(PROCESS, policy, behaviour.propose(PROCESS, policy, target, 8_000, seeded()))
        MaximumLikelihood()(path).mean().backward()
        moved = [weight.grad.flatten() for weight in policy.parameters() if weight.grad is not None]
        gradients.append(torch.cat(moved))
    assert float(torch.cosine_similarity(*gradients, dim=0)) > 0.98
    assert 0.9 < float(gradients[0].norm() / gradients[1].norm()) < 1.1


def test_no_dreams_are_refused():
    with pytest.raises(ValueError, match="dreams=0"):
        Sleep(dreams=0)
