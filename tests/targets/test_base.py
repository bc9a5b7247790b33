"""A target counts its calls and keeps bad particles from stopping a batch."""

import pytest
import torch

from amortized.targets.base import Target
from amortized.targets.density import DensityTarget


def spoiled(x: torch.Tensor) -> torch.Tensor:
    """NaN below −1, +inf above 1, −inf between 0.4 and 0.6, else x."""
    value = x[:, 0]
    value = torch.where(value < -1, torch.nan, value)
    value = torch.where(value > 1, torch.inf, value)
    return torch.where((value > 0.4) & (value < 0.6), -torch.inf, value)


X = torch.tensor([[-2.0], [0.25], [0.5], [2.0]])


def test_the_contract_alone_cannot_be_built():
    with pytest.raises(TypeError, match="abstract"):
        Target(1, torch.float32, torch.device("cpu"))  # type: ignore[abstract]


def test_bad_densities_become_minus_infinity_and_are_counted():
    target = DensityTarget(spoiled, 1)
    value = target.log_prob(X)
    assert value.tolist() == [-torch.inf, 0.25, -torch.inf, -torch.inf]
    assert (target.calls, target.nonfinite) == (4, 2)


def test_their_score_is_zero_and_the_others_keep_theirs():
    target = DensityTarget(spoiled, 1)
    value, score = target.log_prob_and_score(X)
    assert value.tolist() == [-torch.inf, 0.25, -torch.inf, -torch.inf]
    assert score[:, 0].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert (target.calls, target.nonfinite) == (4, 2)
    assert not value.requires_grad and not score.requires_grad


def test_a_score_that_is_not_finite_becomes_zero_and_the_value_stays():
    """√x at 0 has value 0 and slope +inf."""
    target = DensityTarget(lambda x: x[:, 0].sqrt(), 1)
    x = torch.tensor([[0.0], [4.0]])
    value, score = target.log_prob_and_score(x)
    assert value.tolist() == [0.0, 2.0] == target.log_prob(x).tolist() and score[:, 0].tolist() == [0.0, 0.25]
    assert target.nonfinite == 1
    assert target.troubles() == ["a finite log density without finite gradient at 1 (25 %) of 4 points"]


def test_troubles_are_told_by_kind():
    target = DensityTarget(spoiled, 1)
    assert target.troubles() == []
    target.log_prob(X[1:3])
    assert target.troubles() == []
    target.log_prob_and_score(X)
    nan, infinite = "a log density of NaN", "a log density of +inf"
    assert target.troubles() == [f"{nan} at 1 (17 %) of 6 points", f"{infinite} at 1 (17 %) of 6 points"]
    assert target.troubles_at(X[:1]) == [f"{nan} at 1 (100 %) of 1 points"] and target.troubles_at(X[1:2]) == []
    assert target.troubles() == [f"{nan} at 1 (17 %) of 6 points", f"{infinite} at 1 (17 %) of 6 points"]


def test_calls_add_up_over_both_ways_to_ask():
    target = DensityTarget(lambda x: x.sum(-1), 2)
    target.log_prob(torch.zeros(3, 2))
    target.log_prob_and_score(torch.zeros(5, 2))
    assert (target.calls, target.nonfinite) == (8, 0)
