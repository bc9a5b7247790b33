"""What every policy promises: zero control to begin with, any leading shape, a gradient for every weight."""

import itertools

import pytest
import torch

import amortized.policies
from amortized.policies.base import Policy
from tests.contracts.discovery import concrete_classes, options
from tests.known import SameFeatures, perturbed

DIM, CONTEXT = 3, 2
VARIANTS = [
    pytest.param(policy_class, chosen, id=f"{policy_class.__name__}-{number}")
    for policy_class in concrete_classes(amortized.policies, Policy)
    for number, chosen in enumerate(
        options(policy_class, langevin=langevin, learned_variance=variance, embedding=embedding)
        for langevin, variance, embedding in itertools.product(
            (False, True), (False, True), (None, SameFeatures(CONTEXT))
        )
    )
]
LEARNING = [variant for variant in VARIANTS if variant.values[0].learns]
every_policy = pytest.mark.parametrize(("policy_class", "chosen"), VARIANTS)
every_learning_policy = pytest.mark.parametrize(("policy_class", "chosen"), LEARNING)
every_shape = pytest.mark.parametrize(("shape", "time_shape"), [((5,), (5, 1)), ((5,), (1, 1)), ((4, 5), (4, 1, 1))])


def inputs(chosen: dict, shape: tuple[int, ...], time_shape: tuple[int, ...]) -> tuple:
    context = torch.randn(*shape, CONTEXT) if chosen.get("embedding") else None
    return torch.randn(*shape, DIM), torch.rand(time_shape), 5 * torch.randn(*shape, DIM), context


@every_policy
@every_shape
def test_a_fresh_policy_is_the_reference(policy_class, chosen, shape, time_shape):
    control = policy_class(dim=DIM, **chosen)(*inputs(chosen, shape, time_shape))
    assert control.shift.shape == (*shape, DIM)
    assert (control.shift == 0).all()
    assert (torch.as_tensor(control.log_variance) == 0).all()


@every_learning_policy
def test_slices_of_a_batch_are_independent(policy_class, chosen, in_double_precision):
    policy = perturbed(policy_class(dim=DIM, **chosen), 0.05)
    x, t, langevin, context = inputs(chosen, (4, 5), (4, 1, 1))
    together = policy(x, t, langevin, context)
    for k in range(4):
        alone = policy(x[k], t[k], langevin[k], None if context is None else context[k])
        torch.testing.assert_close(alone.shift, together.shift[k])
        if isinstance(together.log_variance, torch.Tensor):
            torch.testing.assert_close(alone.log_variance, together.log_variance[k])
    assert together.shift.abs().max() > 0.01


@every_learning_policy
def test_every_weight_gets_a_gradient(policy_class, chosen):
    policy = perturbed(policy_class(dim=DIM, **chosen), 0.05)
    control = policy(*inputs(chosen, (64,), (64, 1)))
    (control.shift.square().sum() + torch.as_tensor(control.log_variance).square().sum()).backward()
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


@every_learning_policy
def test_a_fresh_policy_can_move(policy_class, chosen):
    policy = policy_class(dim=DIM, **chosen)
    (policy(*inputs(chosen, (64,), (64, 1))).shift - 1.0).square().sum().backward()
    assert any(parameter.grad is not None and bool(parameter.grad.any()) for parameter in policy.parameters())
