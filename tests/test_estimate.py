"""An estimate prints with its error."""

from amortized.estimate import Estimate


def test_an_estimate_prints_with_its_error():
    assert str(Estimate(-31.3114, 0.0079)) == "-31.311 ± 0.008"
