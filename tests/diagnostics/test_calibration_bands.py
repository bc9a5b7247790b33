"""The exact law of uniform ranks: against enumeration, against simulation, and the band against the p-value."""

import itertools

import numpy as np
import pytest
from scipy import stats

from amortized.diagnostics.calibration_bands import UniformRanks, binomial, poisson


def test_p_values_by_enumeration():
    """Every one of the 4⁵ sets of ranks is equally likely: the p-value is the fraction of sets as extreme or more."""
    law = UniformRanks(5, 3)
    sets = np.array(list(itertools.product(range(4), repeat=5)))
    statistics = np.array([law.tails[np.arange(3), law.below(ranks)].min() for ranks in sets]).round(12)
    for ranks, statistic in zip(sets[::37], statistics[::37], strict=True):
        assert law.p_value(ranks) == pytest.approx((statistics <= statistic).mean(), abs=1e-10)


@pytest.mark.parametrize(("count", "draws"), [(100, 9), (200, 50), (60, 400)])
def test_p_values_are_uniform(count: int, draws: int):
    """P(p ≤ α) over 500 sets is at most α, and not far below, within three binomial standard errors."""
    random, law = np.random.default_rng(0), UniformRanks(count, draws)
    found = np.array([law.p_value(ranks) for ranks in random.integers(0, draws + 1, (500, count))])
    for level in (0.05, 0.2, 0.5):
        error = 3 * (level * (1 - level) / 500) ** 0.5
        assert 0.8 * level - error < (found <= level).mean() < level + error


def test_band_holds_all_cuts_at_once():
    """Coverage over 4,000 sets of ranks is the stated 90 % or a little more, within three binomial errors, 0.014."""
    random, law = np.random.default_rng(0), UniformRanks(200, 40)
    band = law.band(0.9)
    curves = np.stack([law.below(ranks) for ranks in random.integers(0, 41, (4_000, 200))]) / 200
    inside = ((curves >= band.low[1:-1] - 1e-12) & (curves <= band.high[1:-1] + 1e-12)).all(-1)
    assert 0.9 - 0.014 < inside.mean() < 0.92 + 0.014


def test_leaving_the_band_is_a_low_p_value():
    random, law = np.random.default_rng(0), UniformRanks(50, 20)
    band = law.band(0.7)
    for ranks in random.integers(0, 21, (300, 50)):
        curve = law.below(ranks) / 50
        outside = (curve < band.low[1:-1] - 1e-12).any() or (curve > band.high[1:-1] + 1e-12).any()
        assert outside == (law.p_value(ranks) <= 0.3)


def test_band_starts_at_zero_ends_at_one_and_holds_the_diagonal():
    band = UniformRanks(300, 99).band(0.99)
    assert band.z[0] == band.low[0] == band.high[0] == 0 and band.z[-1] == band.low[-1] == band.high[-1] == 1
    assert (band.low <= band.z).all() and (band.z <= band.high).all() and (np.diff(band.high) >= 0).all()


def test_few_ranks_never_leave_a_high_band():
    """Three coins: the most extreme set has probability 1/4, so that no band at 99 % can leave it out."""
    band = UniformRanks(3, 1).band(0.99)
    assert band.low.tolist() == [0, 0, 1] and band.high.tolist() == [0, 1, 1]


def test_many_ranks_at_one_end():
    assert UniformRanks(1_000, 100).p_value(np.zeros(1_000, dtype=int)) < 1e-9


@pytest.mark.parametrize("count", [1, 7, 1_000])
def test_laws_of_counts_are_scipy_s(count: int):
    """Rounding: a log factorial of 6,000 has an error of 1e-12, the tails' own tolerance is 1e-9."""
    below, z = np.arange(count + 1), np.array([0.01, 0.5, 0.9])
    np.testing.assert_allclose(binomial(count, z), stats.binom.pmf(below, count, z[:, None]), rtol=1e-10, atol=1e-290)
    np.testing.assert_allclose(poisson(count, 3.5), stats.poisson.pmf(below, 3.5), rtol=1e-10, atol=1e-290)
    law = UniformRanks(count, 9)
    lower, upper = (f(b, count, law.z[:, None]) for f, b in ((stats.binom.cdf, below), (stats.binom.sf, below - 1)))
    np.testing.assert_allclose(law.tails, 2 * np.minimum(lower, upper), rtol=1e-10, atol=1e-290)
