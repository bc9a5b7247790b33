"""The tutorial of three models runs: the evidence of the normal law is that of a grid, and it loses."""

import pytest

from tests.tutorials.run import quick_run


@pytest.mark.slow  # most of a minute, of parts that other tests hold
def test_the_quick_run(tmp_path):
    figures = quick_run("05_compare", tmp_path)
    off = figures["normal: log evidence"] - figures["log evidence of the normal law, grid"]
    assert abs(off) < 5 * figures["its standard error"] + 0.01
    assert figures["escaping: log evidence"] > figures["student: log evidence"] > figures["normal: log evidence"] + 20
    assert figures["escaping: leave-one-out"] > figures["normal: leave-one-out"] + 20
    assert (tmp_path / "compare.png").exists()
