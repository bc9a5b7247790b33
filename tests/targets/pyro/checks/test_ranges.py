"""Parameters and supports: what is clearly outside, what is rounding, and the words."""

import pyro.distributions as dist
import pytest
import torch
from pyro.distributions import constraints

from amortized.targets.pyro.checks.ranges import beyond_bounds, can_be_drawn, described, inside, parameters_of


@pytest.mark.parametrize(
    ("fn", "names"),
    [
        (dist.Normal(0.0, 1.0).expand([3]).to_event(1), ["loc", "scale"]),
        (dist.LogNormal(0.0, 1.0), ["loc", "scale"]),
        (dist.Bernoulli(logits=torch.zeros(2)), ["logits"]),
        (
            dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), dist.Normal(torch.zeros(2), 1.0)),
            ["loc", "scale", "probs", "logits"],
        ),
        (dist.ImproperUniform(constraints.real, (), ()), []),
    ],
)
def test_the_parameters_that_a_distribution_was_given(fn, names):
    assert [name for name, _, _ in parameters_of(fn)] == names


@pytest.mark.parametrize(
    ("value", "constraint", "expected"),
    [
        ([-1.0, 0.0, 1.0, torch.inf, torch.nan], constraints.positive, [True, False, False, False, False]),
        ([-0.1, 1.0 + 1e-7, 1.1], constraints.unit_interval, [True, False, True]),
        ([0.0, 2.0], constraints.less_than(1.0), [False, True]),
        ([-1.0, 0.5], constraints.independent(constraints.positive, 1), [True, False]),
        ([-0.1, 1.1], constraints.simplex, [True, True]),
    ],
)
def test_outside_is_finite_and_clear(value, constraint, expected):
    assert beyond_bounds(torch.tensor(value), constraint).tolist() == expected


def test_a_matrix_is_not_judged_by_bounds():
    assert beyond_bounds(torch.eye(2), constraints.positive_definite) is None


def test_inside():
    assert inside(torch.tensor([1.0, 2.5, -1.0]), dist.Poisson(1.0)).tolist() == [True, False, False]
    assert inside(torch.tensor([0.3, 0.7001]), dist.Dirichlet(torch.ones(2))).tolist() is True
    assert inside(torch.tensor([0.3, 0.9]), dist.Dirichlet(torch.ones(2))).tolist() is False
    assert inside(torch.tensor([3.0, 2.0]), dist.Multinomial(probs=torch.ones(2))).tolist() is True
    assert inside(torch.tensor([3.0, 0.5]), dist.Multinomial(probs=torch.ones(2))).tolist() is False


@pytest.mark.parametrize(
    ("constraint", "words"),
    [
        (constraints.nonnegative, "at least 0"),
        (constraints.interval(0.0, torch.tensor([1.0, 2.0])), "between 0 and 1…2"),
        (constraints.integer_interval(0, 5), "whole numbers from 0 to 5"),
        (constraints.less_than(1.0), "below 1"),
        (constraints.real_vector, "numbers"),
        (constraints.simplex, "shares that sum to 1"),
    ],
)
def test_words(constraint, words):
    assert described(constraint) == words


@pytest.mark.parametrize(
    "fn", [dist.VonMises(0.0, torch.inf), dist.Normal(torch.tensor([0.0, torch.inf]), 1.0).to_event(1)]
)
def test_a_law_with_a_parameter_that_is_not_finite_is_not_drawn_from(fn):
    assert not can_be_drawn(fn)
