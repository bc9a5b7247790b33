"""The tutorial of a thousand outbreaks runs from its own folder, and leaves what it promises."""

import pytest

from tests.tutorials.run import quick_run


@pytest.mark.slow
def test_the_quick_run_leaves_figures_and_pictures(tmp_path):
    figures = quick_run("many_data_sets", tmp_path)
    assert figures["training seconds"] < 60 and figures["milliseconds a posterior"] > 0
    assert figures["three waves: verdict"] == "not to be trusted"
    assert {file.name for file in tmp_path.iterdir()} >= {"beside_nuts.png", "calibration.png"}
