"""The tutorial of the twelve hospitals runs, and its decision is that of a quadrature."""

import pytest

from tests.tutorials.run import quick_run


@pytest.mark.slow  # two fits and NUTS: 46 s
def test_the_quick_run(tmp_path):
    """By quadrature over the mean, the std and each hospital."""
    figures = quick_run("03_hierarchical", tmp_path)
    assert figures["first"] == "H"
    assert figures["deaths avoided"] == pytest.approx(9.92, abs=0.8)
    assert figures["probability that it is worst"] == pytest.approx(0.637, abs=0.06)
    for form in ("centred", "non_centred"):
        assert figures[form]["std"] == pytest.approx(0.446, abs=0.04)
        if figures[form]["evidence verdict"] != "not to be trusted":  # a busy machine cuts fits short, which say so
            assert figures[form]["log evidence"] == pytest.approx(-42.015, abs=0.1)
    assert (tmp_path / "hierarchical.png").exists()
