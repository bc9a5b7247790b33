"""Evidence and effective sample size of weights whose law is known."""

import math

import pytest
import torch

from amortized.diagnostics.weights import effective_sample_fraction, log_evidence, log_mean_exp
from tests.known import seeded


def test_log_mean_exp_needs_no_small_numbers():
    values = torch.tensor([-2000.0, -2000.0 + math.log(3.0)])
    assert log_mean_exp(values).item() == pytest.approx(-2000 + math.log(2.0), abs=1e-4)
    assert log_mean_exp(values).dtype == torch.float64
    assert log_mean_exp(torch.tensor([0.0, -torch.inf])).item() == pytest.approx(-math.log(2.0))


def test_the_standard_error_is_the_spread_of_repetitions():
    """Log-normal weights of deviation 0.7 with mean e^0.245; 2 000 repetitions of 400: within 6 %, no bias."""
    estimates = [log_evidence(row) for row in 0.7 * torch.randn(2000, 400, generator=seeded(), dtype=torch.float64)]
    values = torch.tensor([estimate.value for estimate in estimates])
    claimed = torch.tensor([estimate.std_error for estimate in estimates]).mean()
    assert abs(float(claimed / values.std()) - 1) < 0.06
    assert abs(float(values.mean()) - 0.245) < 3 * float(values.std()) / math.sqrt(2000) + float(values.var()) / 2


def test_a_shift_of_the_weights_shifts_the_evidence_alone():
    log_weights = torch.randn(100, generator=seeded(), dtype=torch.float64)
    one, other = log_evidence(log_weights), log_evidence(log_weights - 800)
    assert other.value == pytest.approx(one.value - 800, abs=1e-9)
    assert other.std_error == pytest.approx(one.std_error, rel=1e-9)


@pytest.mark.parametrize(
    ("log_weights", "fraction"),
    [
        ([0.0] * 4, 1.0),
        ([0.0, -math.inf, -math.inf, -math.inf], 0.25),
        ([-math.inf] * 3, 0.0),
        ([math.log(3), 0.0], 0.8),
    ],
)
def test_the_effective_fraction_is_kishs(log_weights, fraction):
    assert effective_sample_fraction(torch.tensor(log_weights)) == pytest.approx(fraction, rel=1e-6)
