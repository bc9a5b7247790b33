"""The rate of a step, and a state from which weights, averages, flows and moments go on."""

import pytest
import torch
from torch import Tensor, nn

from amortized.objectives import SubTrajectoryBalance
from amortized.training.adam import AveragingAdam, rate


def test_the_rate_rises_over_a_twentieth_of_the_steps_and_falls_to_nothing():
    assert [rate(step, 1_000) for step in (0, 25, 50, 525, 1_000)] == pytest.approx([1 / 51, 26 / 51, 1.0, 0.5, 0.0])
    assert 0 < rate(0, 1) <= 1


def made() -> AveragingAdam:
    torch.manual_seed(0)
    parts = nn.ModuleDict({"policy": nn.Linear(2, 1)})
    return AveragingAdam(parts, SubTrajectoryBalance(1), 1e-2, lambda step: rate(step, 10))


def step(adam: AveragingAdam, number: int) -> list[Tensor]:
    adam.optimizer.zero_grad()
    sum((number + 1) * weight.double().square().sum() for weight in adam.parameters).backward()  # pyright: ignore
    adam.step(first=number == 0)
    return [weight.detach().clone() for weight in [*adam.parameters, *adam.averaged.parameters()]]


def test_a_loaded_state_goes_on_as_the_one_that_was_saved():
    saved, other = made(), made()
    for number in range(4):
        step(saved, number)
    step(other, 7)
    other.load_state_dict(saved.state_dict())
    for number in range(4, 6):
        mine, theirs = step(saved, number), step(other, number)
        assert all(torch.equal(*pair) for pair in zip(mine, theirs, strict=True))
