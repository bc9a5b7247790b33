"""Bounds on log Z where it is known."""

import math

import pytest
import torch

from amortized.diagnostics.bracket import bracket
from amortized.weights import Estimate
from tests.known import seeded


def weights(deviation: float, log_partition: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Log weights under q and p: normal, of means ``log Z ∓ s²/2``, the exact pair for a lognormal w."""
    noise = deviation * torch.randn(2, 4_000, generator=seeded(), dtype=torch.float64)
    return log_partition - deviation**2 / 2 + noise[0], log_partition + deviation**2 / 2 + noise[1]


@pytest.mark.parametrize("deviation", [0.1, 0.5, 1.0])
def test_the_four_bounds_are_in_order_and_hold(deviation):
    """KL = s²/2 each way; every bound within four of its own errors, that of the mean of w √((e^{s²} − 1) / N)."""
    found = bracket(*weights(deviation))
    for estimate, truth in (
        (found.elbo, 2.0 - deviation**2 / 2),
        (found.lower, 2.0),
        (found.upper, 2.0),
        (found.eubo, 2.0 + deviation**2 / 2),
    ):
        assert abs(estimate.value - truth) < 4 * estimate.std_error
    assert found.lower.std_error == pytest.approx(math.sqrt(math.expm1(deviation**2) / 4_000), rel=0.3)
    assert found.elbo.value < found.lower.value and found.upper.value < found.eubo.value
    assert found.closes and "± 0.0" in str(found)


@pytest.mark.parametrize(("lost", "closes"), [(0.5, False), (0.25, False), (0.02, True)])
def test_a_lost_mode_opens_it(lost, closes):
    """A perfect sampler of the rest: log w = log(1 − lost), and w is huge at the draws of the lost mode."""
    log_weights = torch.full((4_000,), math.log1p(-lost), dtype=torch.float64)
    backward = log_weights[:1_000].clone()
    backward[: int(1_000 * lost)] = 60.0
    found = bracket(log_weights, backward)
    assert found.gap.value == pytest.approx(-math.log1p(-lost), abs=1e-6)
    assert found.closes is closes


def test_bounds_that_are_not_there_do_not_meet():
    nothing = torch.full((100,), -torch.inf)
    found = bracket(nothing, nothing)
    assert found.lower.value == -math.inf and not found.closes and str(found) == "no lower bound … no upper bound"
    unknown = bracket(torch.zeros(100), torch.full((100,), torch.nan))
    assert isinstance(unknown.gap, Estimate) and not unknown.closes and str(unknown) == "0.000 … no upper bound"


@pytest.mark.parametrize("zeros", [1, 3_999])
def test_a_reverse_weight_of_zero_leaves_no_upper_bound(zeros):
    """Also where 1/w has too heavy a tail to tell, or so few weights that it has none."""
    forward, backward = weights(0.5)
    backward[:zeros] = -torch.inf
    found = bracket(forward, backward)
    assert found.upper.value == -math.inf and not found.closes
    assert str(found).endswith(" … no upper bound") and "nan" not in str(found)
