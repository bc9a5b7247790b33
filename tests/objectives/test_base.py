"""Stray log weights and large residuals."""

import pytest
import torch

from amortized.objectives import Objective
from amortized.objectives.base import finite_or_nan, huber


def test_the_contract_alone_cannot_be_built():
    with pytest.raises(TypeError, match="abstract"):
        Objective()  # type: ignore[abstract]
    assert not Objective.on_policy_only and not Objective.differentiates_rollout


def test_what_is_not_finite_becomes_nan():
    values = finite_or_nan(torch.tensor([1.0, torch.inf, -torch.inf, torch.nan]))
    assert values[0] == 1.0 and values[1:].isnan().all()


def test_huber_is_a_square_then_a_line():
    residual = torch.tensor([0.5, -2.0, 3.0, -30.0], requires_grad=True)
    loss = huber(residual, delta=2.0)
    assert loss.tolist() == [0.25, 4.0, 8.0, 116.0]
    loss.sum().backward()
    assert residual.grad is not None and residual.grad.tolist() == [1.0, -4.0, 4.0, -4.0]


def test_a_missing_residual_has_no_loss_and_no_gradient():
    residual = torch.tensor([torch.nan, 1.0], requires_grad=True)
    loss = huber(residual, delta=2.0)
    loss.sum().backward()
    assert loss.tolist() == [0.0, 1.0]
    assert residual.grad is not None and residual.grad.tolist() == [0.0, 2.0]
