"""The first tutorial runs, and its answer is that of a grid."""

import pytest

from tests.tutorials.run import quick_run


def test_the_quick_run(tmp_path):
    """Sum over a grid of 1,000 by 1,000: log evidence -4.6181. Chains of 200 draws have an error of .1 to .2 sd."""
    figures = quick_run("01_first_posterior", tmp_path)
    assert figures["verdict"] == "trustworthy"
    assert figures["log evidence"] == pytest.approx(-4.6181, abs=0.05)
    assert figures["largest difference from NUTS (sd)"] < 0.6
    assert {file.name for file in tmp_path.iterdir()} >= {"posterior.nc", "first_posterior.png"}
