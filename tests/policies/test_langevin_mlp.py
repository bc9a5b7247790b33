"""The Langevin perceptron: what its options do."""

import pytest
import torch

from amortized._types import Control
from amortized.policies.langevin_mlp import LOG_VARIANCE_BOUND, LangevinMLP
from tests.known import SameFeatures, network, perturbed

X, T = torch.linspace(-2, 2, 10).reshape(5, 2), torch.linspace(0, 1, 5)[:, None]


def test_the_score_is_clipped_element_by_element():
    policy = network(2, 0.3, langevin=True, clip=2.0)
    beyond = torch.tensor([[50.0, -1.0]]).expand(5, 2)
    clipped = torch.tensor([[2.0, -1.0]]).expand(5, 2)
    assert torch.equal(policy(X, T, beyond).shift, policy(X, T, clipped).shift)
    assert not torch.allclose(policy(X, T, clipped).shift, policy(X, T, -clipped).shift)


def test_the_score_is_added_with_a_weight_that_depends_on_time():
    policy = network(2, langevin=True)
    with torch.no_grad():
        policy.langevin_scale.bias.fill_(0.5)
    langevin = torch.full((5, 2), 3.0)
    assert torch.allclose(policy(X, T, langevin).shift, 0.5 * langevin)
    perturbed(policy.langevin_scale, 0.5)
    gains = policy(X, T, langevin).shift / langevin
    assert gains.std(0).min() > 0.01


def test_without_a_score_none_is_needed():
    policy = network(2, 0.3, langevin=False)
    assert not policy.needs_score and network(2, langevin=True).needs_score
    assert torch.equal(policy(X, T, None).shift, policy(X, T, torch.ones(5, 2)).shift)


def test_the_log_variance_is_bounded_and_optional():
    policy = network(2, 20.0)
    raw = policy(100 * X, T).log_variance
    assert raw.abs().max() <= LOG_VARIANCE_BOUND and raw.abs().max() > 0.9 * LOG_VARIANCE_BOUND
    assert network(2, 20.0, learned_variance=False)(X, T).log_variance == 0.0


def test_time_and_context_matter():
    policy = network(2, 0.3, embedding=SameFeatures(1))
    base = policy(X, T, None, torch.zeros(5, 1)).shift
    assert not torch.allclose(base, policy(X, 1 - T, None, torch.zeros(5, 1)).shift)
    assert not torch.allclose(base, policy(X, T, None, torch.ones(5, 1)).shift)


class Shifted(LangevinMLP):
    def forward(self, x, t, langevin=None, context=None):
        control = super().forward(x, t, langevin, context)
        return Control(control.shift + 1.0, control.log_variance)


def test_a_forward_of_ones_own_is_simulated():
    policy = Shifted(2, width=8)
    with torch.no_grad():
        assert torch.equal(policy.at(T[:, 0])(0, X, None, None).shift, torch.ones(5, 2))


@pytest.mark.parametrize("register", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks_are_called_in_simulations(register):
    policy, called = network(2), []
    getattr(policy, register)(lambda *_: called.append(1), with_kwargs=True)
    with torch.no_grad():
        policy.at(T[:, 0])(0, X, None, None)
    assert called == [1]
