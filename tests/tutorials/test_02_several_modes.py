"""The tutorial of several modes runs: the guide agrees with the grid, NUTS does not and its R-hat says so."""

import pytest

from tests.tutorials.run import quick_run


@pytest.mark.slow  # most of a minute, of parts that other tests hold
def test_the_quick_run(tmp_path):
    """8,000 resampled draws have a standard error of .004 in a share of .86; evidence within five of its own errors."""
    figures = quick_run("02_several_modes", tmp_path)
    assert abs(figures["guide"] - figures["grid"]) < 0.03
    assert (
        abs(figures["log evidence, guide"] - figures["log evidence, grid"]) < 5 * figures["its standard error"] + 0.01
    )
    assert figures["R-hat"] > 3 * figures["its R-hat"]
    assert figures["one chain"] in (0.0, 1.0)
    assert (tmp_path / "several_modes.png").exists()
