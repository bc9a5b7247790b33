"""A plain callable as a target."""

import torch

from amortized.targets.callable import DensityTarget


def test_value_score_and_site():
    target = DensityTarget(lambda x: -(x**4).sum(-1), dim=2, dtype=torch.float64, name="position")
    x = torch.randn(5, 2, dtype=torch.float64)
    value, score = target.log_prob_and_score(x)
    torch.testing.assert_close(value, -(x**4).sum(-1))
    torch.testing.assert_close(score, -4 * x**3)
    assert (target.dim, target.dtype, target.device.type) == (2, torch.float64, "cpu")
    assert list(target.constrain(x)) == ["position"] and target.constrain(x)["position"] is x


def test_the_score_is_there_without_grad_mode_and_leaves_the_input_alone():
    target = DensityTarget(lambda x: -(x**2).sum(-1), dim=2)
    x = torch.randn(5, 2)
    with torch.no_grad():
        _, score = target.log_prob_and_score(x)
    torch.testing.assert_close(score, -2 * x)
    assert not x.requires_grad


def test_a_plain_value_can_be_differentiated():
    x = torch.randn(5, 2, requires_grad=True)
    (gradient,) = torch.autograd.grad(DensityTarget(lambda x: -(x**2).sum(-1), dim=2).log_prob(x).sum(), x)
    torch.testing.assert_close(gradient, -2 * x.detach())
