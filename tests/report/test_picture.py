"""The one picture of a fit, for any dimension and for weights without a tail."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from amortized.plots import PANELS
from amortized.report.picture import picture
from tests.report.contents import made


@pytest.mark.parametrize("dim", [1, 5, 12, 50])
def test_picture_of_any_dimension(dim: int, tmp_path: Path):
    contents = made(entries=dim, baselines=()) if dim == 5 else made(entries=dim)
    figure = picture(contents)
    assert len(figure.axes) >= min(dim, PANELS) + 3
    titles = [axes.get_title() for axes in figure.axes]
    assert "x[0]" in titles[:2] and "log weights of the draws" in titles
    figure.savefig(tmp_path / "picture.png")


@pytest.mark.parametrize("weights", [np.full(100, -2.0), np.append(np.full(99, -2.0), -np.inf)])
def test_equal_and_zero_weights(weights: np.ndarray, tmp_path: Path):
    contents = made(log_weights=weights, truth=None)
    assert contents.training is not None
    once = replace(contents.training, evaluations=contents.training.evaluations[:1])
    figure = picture(replace(contents, training=once))
    figure.savefig(tmp_path / "p.png")
    assert "training step" not in [axes.get_xlabel() for axes in figure.axes], "nothing was trained"


def test_a_fit_without_training_has_its_picture():
    assert len(picture(made(training=None, enough=None)).axes) >= 2
