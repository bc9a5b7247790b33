"""One module for both generations of ArviZ: run here under 0.2x, and by ``make arviz1`` under 1.x with numpy alone."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

az = pytest.importorskip("arviz")
FILE = Path(__file__).parents[2] / "amortized" / "results" / "arviz.py"
DRAWS, DATA = 4_000, 5


def by_path():
    """The module alone, without the package around it, which would import torch."""
    spec = importlib.util.spec_from_file_location("arviz_alone", FILE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["arviz_alone"] = module
    spec.loader.exec_module(module)
    return module


ours = by_path()


@pytest.fixture
def groups():
    """A conjugate normal model with variance 1: the mean of n data, and their likelihood at its posterior draws."""
    random = np.random.default_rng(0)
    y = np.array([0.3, -1.2, 0.8, 2.0, 0.1])
    mean = random.normal(y.sum() / (DATA + 1), (DATA + 1) ** -0.5, (2, DRAWS // 2))
    terms = -0.5 * np.log(2 * np.pi) - 0.5 * (y - mean[..., None]) ** 2
    return {
        "posterior": {"mean": mean, "a/slash": mean},
        "sample_stats": {"lp": terms.sum(-1), "log_weight": np.zeros_like(mean)},
        "log_likelihood": {"y": terms},
        "posterior_predictive": {"y": mean[..., None] + random.normal(size=(*mean.shape, DATA))},
        "prior": {"mean": random.normal(size=(1, 100))},
        "prior_predictive": {"y": random.normal(size=(1, 100, DATA))},
        "observed_data": {"y": y},
        "predictions": {},
    }


def exact_leave_one_out(y):
    """log p(y_i | the others) of the conjugate normal model."""
    others = y.sum() - y
    variance = 1 + 1 / len(y)
    return -0.5 * np.log(2 * np.pi * variance) - 0.5 * (y - others / len(y)) ** 2 / variance


def test_groups_arrive_with_their_dimensions(groups):
    data = ours.inference_data(groups, {"method": "guide", "seed": 3})
    assert data.posterior["mean"].dims == ("chain", "draw")
    assert data.posterior["mean"].shape == (2, DRAWS // 2)
    assert data.observed_data["y"].shape == (DATA,)
    assert data.prior["mean"].shape == (1, 100)
    assert "a.slash" in data.posterior
    assert data.posterior.attrs["method"] == "guide" and data.posterior.attrs["seed"] == 3
    assert not hasattr(data, "predictions")


def test_arviz_reads_them(groups):
    data = ours.inference_data(groups, {})
    summary = az.summary(data, var_names=["mean"])
    rhat = "r_hat" if "r_hat" in summary.columns else "rhat"
    assert float(summary[rhat].iloc[0]) == pytest.approx(1.0, abs=0.01)
    assert len(az.compare({"one": data, "two": data})) == 2
    az.plot_dist(data, var_names=["mean"]) if ours.is_one(az) else az.plot_posterior(data, var_names=["mean"])


def test_leave_one_out_is_the_conjugate_models_own(groups):
    """The smoothed importance sampling of 4,000 draws is within a few hundredths of a nat, for five data."""
    found = ours.leave_one_out(groups["log_likelihood"])
    exact = exact_leave_one_out(groups["observed_data"]["y"])
    assert np.allclose(found.each, exact, atol=0.03)
    assert found.value == pytest.approx(found.each.sum())
    freedom = 1 if ours.is_one(az) else 0
    assert found.std_error == pytest.approx((DATA * found.each.var(ddof=freedom)) ** 0.5, rel=1e-6)
    assert found.khat < 0.7 and 0 < found.parameters < 2


def test_several_sites_are_left_out_together(groups):
    terms = groups["log_likelihood"]["y"]
    parts = {"first": terms[..., :2], "second": terms[..., 2:].reshape(2, -1, 3, 1)}
    assert ours.leave_one_out(parts).value == pytest.approx(ours.leave_one_out({"y": terms}).value)


def test_what_is_written_reads_back(groups, tmp_path):
    path = tmp_path / "posterior.nc"
    ours.save(ours.inference_data(groups, {"verdict": "trustworthy"}), str(path))
    read = az.from_netcdf(str(path))
    assert np.array_equal(read.posterior["mean"].values, groups["posterior"]["mean"])
    assert np.array_equal(read.posterior["a.slash"].values, groups["posterior"]["a/slash"])
    assert read.posterior.attrs["verdict"] == "trustworthy"


LABELS = ours.Labels(
    dims={"mean": (), "a/slash": (), "y": ("rows",), "x": ("rows", None)},
    terms={"y": ("rows",)},
    coords={"rows": np.arange(DATA)},
)


def test_plates_are_dimensions_with_the_users_coordinates(groups, tmp_path):
    groups["constant_data"] = {"x": np.ones((DATA, 2))}
    labels = LABELS.with_own({"x": ["rows", "columns"]}, {"rows": list("abcde"), "columns": ["one", "two"]})
    data = ours.inference_data(groups, {"verdict": "trustworthy", "khat": float("-inf")}, labels)
    path = tmp_path / "named.nc"
    ours.save(data, str(path))
    for record in (data, az.from_netcdf(str(path))):
        assert record.log_likelihood["y"].dims == ("chain", "draw", "rows")
        assert record.observed_data["y"].dims == ("rows",)
        assert record.constant_data["x"].dims == ("rows", "columns")
        assert list(record.observed_data["y"].coords["rows"].values) == list("abcde")
        assert record.posterior.attrs["khat"] == float("-inf")
    assert float(az.loo(data).p if ours.is_one(az) else az.loo(data).p_loo) > 0


def test_a_name_that_does_not_fit_is_left_out(groups):
    """A masked likelihood has fewer terms than its plate; a plate may be called as a site, or as a constant."""
    groups["log_likelihood"]["y"] = groups["log_likelihood"]["y"][..., :3]
    data = ours.inference_data(groups, {}, LABELS)
    assert data.log_likelihood["y"].dims == ("chain", "draw", "y_dim_0")
    as_site = ours.Labels({"y": ("mean",)}, {}, {"mean": np.arange(DATA)})
    groups["constant_data"] = {"mean_": np.zeros(DATA), "rows": np.zeros(DATA)}
    found = ours.inference_data(groups, {}, as_site)
    assert found.observed_data["y"].dims == ("mean_",) and found.posterior["mean"].dims == ("chain", "draw")


@pytest.mark.parametrize(
    ("dims", "coords", "said"),
    [
        ({"theta": ["a"]}, {}, "no such site; write one of mean"),
        ({"y": "rows"}, {}, "write a list of 1 names"),
        ({"y": ["rows", "more"]}, {}, "write a list of 1 names"),
        ({}, {"schools": [1]}, "no such dimension .there: rows."),
        ({}, {"rows": [1, 2]}, "has 2 values: write 5"),
    ],
)
def test_names_that_cannot_be_are_refused(dims, coords, said):
    with pytest.raises(ValueError, match=said):
        LABELS.with_own(dims, coords)


def test_data_sets_are_a_dimension(groups, tmp_path):
    others = {**groups, "observed_data": {"y": groups["observed_data"]["y"] + 1}, "prior": {}}
    facts = [
        {"verdict": "trustworthy", "seed": 0, "khat": 0.1},
        {"verdict": "not to be trusted", "seed": 0, "khat": 0.9},
    ]
    joined, merged, labels = ours.stacked([groups, others], facts, LABELS)
    assert merged == {"verdict": ["trustworthy", "not to be trusted"], "seed": 0, "khat": [0.1, 0.9]}
    data = ours.inference_data(joined, merged, labels.with_own({}, {"data_set": ["p", "q"]}))
    path = tmp_path / "several.nc"
    ours.save(data, str(path))
    read = az.from_netcdf(str(path))
    assert read.posterior["mean"].dims == ("chain", "draw", "data_set")
    assert read.observed_data["y"].dims == ("data_set", "rows")
    assert read.log_likelihood["y"].shape == (2, DRAWS // 2, 2, DATA)
    assert list(read.posterior.attrs["verdict"]) == merged["verdict"]
    assert np.array_equal(read.observed_data["y"].sel(data_set="q"), groups["observed_data"]["y"] + 1)
