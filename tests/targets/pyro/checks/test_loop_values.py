"""What the plain loop gives at a few points, which every batching is held against."""

import time
from types import SimpleNamespace

import pytest
import torch

from amortized.targets.pyro.checks.loop_values import (
    EXTREMES_WITHIN,
    _rounding_noise,
    far_draws,
    loop_values,
    loop_values_at,
    points_at_many_scales,
)
from amortized.targets.pyro.trace import ModelError
from tests.targets.pyro.test_batching import program


def test_differences_are_told():
    truth = loop_values(program("real"), seed=0)
    assert truth.differs(truth.value, truth.score) is None
    assert "log density is" in str(truth.differs(truth.value + 1, truth.score))
    assert "largest gradient is" in str(truth.differs(truth.value, 2 * truth.score))
    assert "not finite" in str(truth.differs(truth.value * torch.nan, truth.score))


def test_starts_are_dispersed_and_repeatable():
    starts = points_at_many_scales(64, 3, torch.float64, torch.device("cpu"), seed=3)
    assert starts.shape == (64, 3) and starts.dtype == torch.float64
    assert starts[0].equal(torch.zeros(3, dtype=torch.float64))
    assert starts.equal(points_at_many_scales(64, 3, torch.float64, torch.device("cpu"), seed=3))


def test_points_without_a_score_are_counted_among_the_extreme():
    model = program("real")
    x = torch.tensor([[0.0], [torch.nan], [0.5]])
    found = loop_values_at(model, x, torch.tensor([[3.0]]), 1.0)
    assert found.x[:, 0].tolist() == [0.0, 0.5] and len(found.extremes) == 2
    assert found.extreme_value[0] == -torch.inf and found.extreme_value[1].isfinite()
    nothing = loop_values_at(model, x[1:2], x[:1], 1.0)
    assert nothing.differs(nothing.value, nothing.score) is None


def test_a_slow_model_is_looked_at_for_half_a_second():
    model = program("real")
    plain = model.log_prob

    def slow(x):
        time.sleep(0.05)
        return plain(x)

    model.log_prob = slow
    found = loop_values_at(model, torch.zeros(1, 1), torch.zeros(100, 1), 1.0)
    assert 1 <= len(found.extremes) <= EXTREMES_WITHIN / 0.05 + 1


def test_the_handful_holds_the_outermost_draw():
    x = torch.randn(100, 2)
    x[17] = 50.0
    handful, far = far_draws(x)
    assert handful.shape == far.shape == (4, 2)
    assert (handful == 50.0).all(1).any() and far.max() > 400


def test_a_random_density_shows_the_row_that_differs():
    def log_prob_and_score(x):
        return torch.tensor([1.0, 2.0]), torch.zeros(2, 1)

    with pytest.raises(ModelError, match="is random: 3 and then 2 at"):
        _rounding_noise(
            SimpleNamespace(log_prob_and_score=log_prob_and_score),
            torch.zeros(2, 1),
            torch.tensor([1.0, 3.0]),
            torch.zeros(2, 1),
        )
