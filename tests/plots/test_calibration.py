"""Pictures of a calibration: what is drawn; they were looked at by eye."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from amortized.diagnostics.calibration import Calibration, calibrate
from amortized.plots import ORANGE
from amortized.plots.calibration import LINES, plot_calibration, plot_coverage, plot_histogram, plot_ranks


def calibration(width: float, dim: int = 7, draws: int = 50) -> Calibration:
    generator = torch.Generator().manual_seed(0)
    mu = torch.randn(300, dim, generator=generator)
    return calibrate({"mu": mu}, {"mu": width * torch.randn(300, draws, dim, generator=generator)}, generator)


@pytest.mark.parametrize(("width", "failing"), [(1.0, 0), (0.4, 7)])
def test_failing_checks_stand_out_and_are_named(width: float, failing: int, tmp_path):
    figure = Figure()
    axes, found = figure.add_subplot(), calibration(width)
    assert plot_ranks(axes, found) is axes
    lines = axes.get_lines()
    orange = [line for line in lines if to_rgba(line.get_color()) == to_rgba(ORANGE)]
    assert len(lines) == 7 and len(orange) == failing == len(found.failed) - (found.joint in found.failed)
    legend = axes.get_legend()
    assert (legend is None) if not failing else (legend is not None and len(legend.get_texts()) == len(LINES))
    figure.savefig(tmp_path / "ranks.png")


@pytest.mark.parametrize("width", [1.0, 0.4])
def test_coverage_is_drawn_over_its_band(width: float, tmp_path):
    figure = Figure()
    axes, found = figure.add_subplot(), calibration(width)
    assert plot_coverage(axes, found) is axes
    curve = axes.get_lines()[-1]
    x, y = np.asarray(curve.get_xdata()), np.asarray(curve.get_ydata())
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1) and (np.diff(y) >= 0).all()
    assert (axes.get_legend() is None) == (width == 1.0)
    figure.savefig(tmp_path / "coverage.png")


@pytest.mark.parametrize("draws", [3, 50])
def test_bars_of_the_histogram_have_mean_one(draws: int, tmp_path):
    figure = Figure()
    axes = plot_histogram(figure.add_subplot(), calibration(1.0, draws=draws).scalars[0])
    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle) and bar.get_y() == 0]
    assert sum(bar.get_height() * bar.get_width() for bar in bars) == pytest.approx(1.0)
    assert len(bars) == min(draws + 1, 20) and axes.get_title() == "mu[0]"
    figure.savefig(tmp_path / "histogram.png")


@pytest.mark.parametrize(("dim", "panels", "shown"), [(1, 1, 1), (7, 8, 7), (15, 12, 12)])
def test_all_pictures_in_one(dim: int, panels: int, shown: int):
    axes = plot_calibration(calibration(0.8, dim)).axes
    assert len(axes) == panels + 2 and len({one.get_title() for one in axes[:shown]}) == shown
