"""Pictures: what is shown and what is left out; the figures themselves were looked at by eye."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from amortized import plots
from amortized.training.evaluation import Evaluation
from amortized.weights import Estimate

RANDOM = np.random.default_rng(0)
EVALUATIONS = [(0, Evaluation(-3.0, -1.0, -2.0, 0.4, 0.5)), (100, Evaluation(-2.1, -1.9, -2.0, 0.9, 0.9))]


def normal(sites: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Fifty draws of each site."""
    return {name: RANDOM.normal(size=(1, 50, *shape)) for name, shape in sites.items()}


def test_whole_sites_are_shown_and_derived_ones_first():
    sites = normal({"z": (8,), "theta": (8,), "mu": (), "constant": ()})
    sites = {**sites, "constant": np.ones((1, 50))}
    assert plots.scalars_to_show(sites, ["theta"]) == ["mu", *(f"theta[{index}]" for index in range(8))]
    assert plots.scalars_to_show(sites, panels=4) == ["mu", "z[0]", "z[1]", "z[2]"]


def test_everything_is_shown_where_it_fits_in_the_order_of_the_sites():
    assert plots.scalars_to_show(normal({"b": (2,), "a": ()})) == ["b[0]", "b[1]", "a"]


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
    found = normal({"x": (3,)})
    panels = plots.pairs(Figure(), found, {"nuts": {"x": found["x"][..., :2]}}, ["x[0]", "x[1]", "x[2]"])
    assert panels.shape == (3, 3) and len(panels[2, 2].patches) == 1 and len(panels[0, 0].patches) == 2


def test_names_of_the_last_release_warn():
    with pytest.deprecated_call(match="scalars_to_show"):
        assert plots.chosen is plots.scalars_to_show
    with pytest.raises(AttributeError):
        _ = plots.nothing
