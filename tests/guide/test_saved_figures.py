"""Figures see one value that changed and another order, and forgive rounding."""

import pytest
import torch

from amortized.guide.saved_figures import figures
from tests.known import seeded

X = torch.randn(10_000, generator=seeded(0))


def changed(place: int, by: float) -> torch.Tensor:
    x = X.clone()
    x[place] += by
    return x


def test_rounding_is_forgiven():
    assert figures(X).agrees(figures(X * (1 + 1e-6)))
    assert not figures(X).agrees(figures(X * (1 + 1e-4)))


@pytest.mark.parametrize(
    "other",
    [changed(17, 1.0), X.flip(0), X.roll(1), X.double(), X[None], changed(17, torch.nan), changed(17, torch.inf)],
)
def test_one_value_another_order_and_another_kind_are_seen(other):
    assert not figures(X).agrees(figures(other))


def test_values_that_are_not_finite_are_counted_and_left_out():
    x = torch.tensor([1.0, torch.nan, 3.0])
    assert (figures(x).finite, figures(x).mean) == (2, 2.0)
    assert figures(torch.zeros(0)).agrees(figures(torch.zeros(0)))
