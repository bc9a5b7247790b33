"""Pictures: what is shown and what is left out; the figures themselves were looked at by eye."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from amortized import plots
from amortized.diagnostics.bracket import Bracket
from amortized.diagnostics.verdict import Diagnosis
from amortized.plots import summary as picture
from amortized.training.evaluation import Evaluation
from amortized.weights import Estimate

RANDOM = np.random.default_rng(0)
EVALUATIONS = [(0, Evaluation(-3.0, -1.0, -2.0, 0.4, 0.5)), (100, Evaluation(-2.1, -1.9, -2.0, 0.9, 0.9))]
EVIDENCE = Estimate(-2.0, 0.01)
FOUND = Diagnosis(0.9, 0.3, Bracket(Estimate(-2.1, 0.0), EVIDENCE, EVIDENCE, Estimate(-1.9, 0.0), 0.3), 0.0)


def contents(sites: dict[str, tuple[int, ...]], compared: bool = True, **changes) -> picture.Contents:
    ours, reference = ({name: RANDOM.normal(size=(1, 50, *shape)) for name, shape in sites.items()} for _ in range(2))
    parts = {
        "title": "example",
        "ours": ours,
        "diagnosis": FOUND,
        "log_weights": RANDOM.normal(-2.0, 0.3, 500),
        "evaluations": EVALUATIONS,
        "enough": 0.95,
        "baselines": {"NUTS": reference} if compared else {},
        "truth": -2.0,
    }
    return picture.Contents(**{**parts, **changes})


@pytest.mark.parametrize("dim", [1, 5, 12, 50])
def test_picture_of_any_dimension(dim: int, tmp_path):
    figure = picture.draw(contents({"x": (dim,)}, compared=dim != 5))
    assert len(figure.axes) >= min(dim, plots.PANELS) + 3
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0] == "x[0]" and "log weights of the draws" in titles
    figure.savefig(tmp_path / "picture.png")


@pytest.mark.parametrize("weights", [np.full(100, -2.0), np.append(np.full(99, -2.0), -np.inf)])
def test_equal_and_zero_weights(weights: np.ndarray, tmp_path):
    once = EVALUATIONS[:1]
    picture.draw(contents({"x": ()}, log_weights=weights, evaluations=once, truth=None)).savefig(tmp_path / "p.png")


def test_whole_sites_are_shown_and_derived_ones_first():
    sites = contents({"z": (8,), "theta": (8,), "mu": (), "constant": ()}).ours
    sites = {**sites, "constant": np.ones((1, 50))}
    assert plots.chosen(sites, ["theta"]) == ["mu", *(f"theta[{index}]" for index in range(8))]
    assert plots.chosen(sites, panels=4) == ["mu", "z[0]", "z[1]", "z[2]"]


def test_everything_is_shown_where_it_fits_in_the_order_of_the_sites():
    assert plots.chosen(contents({"b": (2,), "a": ()}).ours) == ["b[0]", "b[1]", "a"]


def test_bounds_far_off_at_first_do_not_flatten_the_band():
    far = [(0, Evaluation(-900.0, 900.0, -2.0, 0.0, 0.0)), *EVALUATIONS[1:]]
    axes = plots.bounds(Figure().add_subplot(), far, Estimate(-2.0, 0.01))
    low, high = axes.get_ylim()
    assert -3 < low < -2.1 and -1.9 < high < 0


def test_draws_that_are_not_finite_are_left_out():
    draws = np.append(RANDOM.normal(size=99), np.inf)
    [bars] = plots.marginal(Figure().add_subplot(), "x", draws).patches
    assert isinstance(bars, StepPatch) and sum(bars.get_data()[0]) == pytest.approx(97 / 99)
    plots.marginal(Figure().add_subplot(), "x", np.full(9, np.nan), [draws])
    plots.marginal(Figure().add_subplot(), "x", np.full(9, np.nan))


@pytest.mark.parametrize(
    ("observed", "drawn"),
    [
        (RANDOM.poisson(3.0, 50), RANDOM.poisson(3.0, (60, 50))),
        (RANDOM.normal(size=(2, 4)), RANDOM.normal(size=(60, 2, 4))),
        (RANDOM.normal(size=100), RANDOM.normal(size=(60, 100))),
        (RANDOM.normal(size=()), RANDOM.normal(size=60)),
    ],
    ids=["counts", "few", "many", "one"],
)
def test_predictive_picks_its_kind(observed: np.ndarray, drawn: np.ndarray, request: pytest.FixtureRequest):
    axes = plots.predictive(Figure().add_subplot(), "y", np.asarray(observed), drawn)
    assert axes.get_ylabel() == ("share of the data" if "counts" in request.node.name else "")
    assert axes.get_xlabel() == ("observation" if request.node.name.endswith(("few]", "one]")) else "")


def test_predictive_refuses_another_shape():
    with pytest.raises(ValueError, match="one replicated data set a row"):
        plots.predictive(Figure().add_subplot(), "y", np.zeros(3), np.zeros((10, 4)))


def test_tail_of_pareto_weights_lies_on_its_law():
    uniform = (np.arange(20_000) + 0.5) / 20_000
    axes = plots.tail(Figure().add_subplot(), -0.5 * np.log(uniform), 0.5)
    dots, law = axes.lines
    at = np.interp(np.asarray(dots.get_xdata())[:300], *np.asarray(law.get_data()))
    assert np.allclose(at / np.asarray(dots.get_ydata())[:300], 1.0, atol=0.05)


def test_pairs_leave_out_a_method_without_the_scalar():
    found = contents({"x": (3,)}).ours
    panels = plots.pairs(Figure(), found, {"nuts": {"x": found["x"][..., :2]}}, ["x[0]", "x[1]", "x[2]"])
    assert panels.shape == (3, 3) and len(panels[2, 2].patches) == 1 and len(panels[0, 0].patches) == 2
