"""Evidence, effective sample size and ancestors of weights whose law is known."""

import math

import pytest
import torch

from amortized.weights import (
    Estimate,
    bootstrap_log_evidence,
    effective_sample_fraction,
    effective_sample_size,
    evidence_gap,
    log_evidence,
    log_mean_exp,
    pareto_shape,
    reverse_effective_sample_fraction,
    systematic,
    systematic_by_context,
)
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


def test_the_bootstrap_agrees_with_the_delta_method():
    """Log-normal weights; the error of 2 000 resamples has a relative error of 1/√4000 = 1.6 %: within 6 %."""
    log_weights = 0.7 * torch.randn(4_000, generator=seeded(), dtype=torch.float64) - 800
    bootstrap, delta = bootstrap_log_evidence(log_weights, 2_000, seeded()), log_evidence(log_weights)
    assert bootstrap.value == delta.value
    assert bootstrap.std_error == pytest.approx(delta.std_error, rel=0.06)
    assert bootstrap == bootstrap_log_evidence(log_weights, 2_000, seeded())


def test_the_bootstrap_of_nothing_is_no_number():
    value, error = bootstrap_log_evidence(torch.full((4,), -torch.inf))
    assert value == -math.inf and math.isnan(error)
    with pytest.raises(ValueError, match="repeats: 1"):
        bootstrap_log_evidence(torch.zeros(4), 1)


def test_the_effective_fraction_is_the_same_from_both_sides():
    """p = N(0, 1), q = N(0, s²), s = 1.5: 1 / E_p[w] = √(2s² − 1) / s² = 0.831; bounded weights: within 2 %."""
    noise, scale = torch.randn(20_000, generator=seeded(), dtype=torch.float64), 1.5

    def log_weight(x):
        return math.log(scale) - x.square() / 2 + (x / scale).square() / 2 + 7

    truth = math.sqrt(2 * scale**2 - 1) / scale**2
    assert reverse_effective_sample_fraction(log_weight(noise)) == pytest.approx(truth, rel=0.02)
    assert effective_sample_fraction(log_weight(scale * noise)) == pytest.approx(truth, rel=0.02)


def test_a_draw_that_the_sampler_never_makes_leaves_no_effective_fraction():
    assert reverse_effective_sample_fraction(torch.tensor([0.0, torch.inf])) == 0.0


def test_the_gap_is_both_divergences():
    """q = N(1, 1) for p = N(0, 1): both divergences are ½; the errors of 20 000 log weights of deviation 1 are 0.01."""
    noise = torch.randn(20_000, generator=seeded(), dtype=torch.float64)
    fresh, noised_back = 0.5 - (noise + 1), 0.5 - noise
    assert evidence_gap(fresh, noised_back) == pytest.approx(1.0, abs=1e-9)
    assert float(fresh.mean()) == pytest.approx(-0.5, abs=0.03)


def test_an_estimate_prints_with_its_error():
    assert str(Estimate(-31.3114, 0.0079)) == "-31.311 ± 0.008"


def test_each_column_is_resampled_by_itself():
    """Row i of the answer is one of column i mod M; every row of a column is taken ⌊n w⌋ or ⌈n w⌉ times."""
    log_weights = torch.randn(7, 3, generator=seeded()).double() + torch.tensor([0.0, 1e3, -1e3])
    rows = systematic_by_context(log_weights, 40, seeded())
    assert rows.shape == (120,) and torch.equal(rows % 3, torch.arange(120) % 3)
    for m in range(3):
        counts = torch.bincount(rows[m::3] // 3, minlength=7)
        assert ((counts - 40 * log_weights[:, m].softmax(0)).abs() < 1).all()


def test_one_column_is_plain_systematic_resampling():
    log_weights = torch.randn(50, generator=seeded()).double()
    assert torch.equal(systematic_by_context(log_weights[:, None], 20, seeded()), systematic(log_weights, 20, seeded()))


def test_a_column_without_weight_is_refused():
    log_weights = torch.zeros(4, 2)
    log_weights[:, 1] = -torch.inf
    with pytest.raises(ValueError, match="no weight is positive"):
        systematic_by_context(log_weights, 4, seeded())


def test_effective_sizes_of_columns():
    log_weights = torch.tensor([[0.0, 0.0], [0.0, -torch.inf], [0.0, -torch.inf]])
    torch.testing.assert_close(effective_sample_size(log_weights), torch.tensor([3.0, 1.0]).double())


def test_a_single_ancestor_is_drawn_by_its_weight():
    """Without an offset of chance one row would be taken always; 2,000 draws, four binomial errors."""
    log_weights, generator = torch.tensor([0.3, 0.7]).log(), seeded()
    taken = torch.cat([systematic(log_weights, 1, generator) for _ in range(2_000)]).double()
    assert abs(float(taken.mean()) - 0.7) < 4 * (0.21 / 2_000) ** 0.5


@pytest.mark.parametrize(("scale", "expected"), [(0.2, 0.2551033), (0.6, 0.5769386), (1.5, 1.3012676)])
def test_khat_is_that_of_the_reference_implementation(scale, expected):
    """The tail of 60 of 400 weights of shape ``scale``: ``arviz.psislw(log_weights)[1]`` of ArviZ 0.23.4."""
    log_weights = -scale * torch.log1p(-(torch.arange(400, dtype=torch.float64) + 0.5) / 400)
    assert pareto_shape(log_weights) == pytest.approx(expected, abs=1e-6)
