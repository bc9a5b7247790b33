"""The comparison of two sets of draws."""

import numpy as np
import pytest

from amortized.diagnostics.comparison import aligned, describe, differences, scalars

RANDOM = np.random.default_rng(0)


def test_scalars_are_labelled_as_by_arviz_and_constants_left_out():
    factor = RANDOM.normal(size=(2, 10, 2, 2))
    factor[..., 0, 1] = 0.0
    found = scalars({"factor": factor, "flag": np.ones((2, 10), dtype=bool)})
    assert list(found) == ["factor[0, 0]", "factor[1, 0]", "factor[1, 1]"]
    assert found["factor[1, 0]"].tolist() == factor[..., 1, 0].flatten().tolist()


def test_a_description_is_mean_sd_and_quantiles():
    values = RANDOM.normal(3.0, 2.0, size=(4, 500))
    [row] = describe({"x": values})
    assert (row.mean, row.sd) == pytest.approx((values.mean(), values.std()))
    assert row.quantiles == pytest.approx(np.quantile(values, [0.05, 0.5, 0.95]))


def test_differences_are_in_the_reference_s_sd_and_only_of_what_both_have():
    reference = RANDOM.normal(size=(4, 500))
    ours, others = {"x": 3 * reference + 1.0, "mine": reference}, {"x": reference, "other": reference}
    [row] = differences(describe(ours), describe(others))
    assert row.ratio == pytest.approx(3.0)
    assert row.shift == pytest.approx((2 * reference.mean() + 1.0) / reference.std())


def test_columns_are_aligned():
    assert aligned([["", "a"], ["long", "1"]]).splitlines() == ["      a", "long  1"]
