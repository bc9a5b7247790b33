"""What Pyro sees of an amortized guide: its draws, one factor, or one for every row of a plate."""

from __future__ import annotations

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.optim import Adam  # pyright: ignore[reportAttributeAccessIssue]

from amortized import DiffusionGuide, LocalTo
from tests.amortization.quick import BRIEF, conjugate, data_sets, images, rows_of_images, shortened

NEW, ROWS = data_sets(3, seed=1), images(4, seed=1)


@pytest.fixture(autouse=True)
def clean_store():
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    yield
    pyro.clear_param_store()


@pytest.fixture(scope="module")
def whole():
    with pytest.MonkeyPatch.context() as patch:
        shortened(patch, 60)
        return DiffusionGuide(conjugate, amortize="y", recipe=BRIEF, progress=False).fit(data_sets(100))


@pytest.fixture(scope="module")
def local():
    with pytest.MonkeyPatch.context() as patch:
        shortened(patch, 60)
        chosen = LocalTo("images")
        return DiffusionGuide(rows_of_images, amortize=chosen, recipe=BRIEF, progress=False).fit(images(100))


def check_bound(model, guide, data: torch.Tensor, log_weights: torch.Tensor, particles: int = 500) -> None:
    """The vectorized ELBO against independent log weights ``(N, M)``, summed over data: four standard errors."""
    elbo = Trace_ELBO(num_particles=particles, vectorize_particles=True, max_plate_nesting=1)
    with torch.no_grad():
        bound = -elbo.loss(model, guide, data)
    total = log_weights.sum(1)
    error = float(total.std()) * math.sqrt(1 / len(total) + 1 / particles)
    assert abs(bound - float(total.mean())) < 4 * error


def test_the_elbo_of_one_data_set_is_its_mean_log_weight(whole):
    check_bound(conjugate, whole, NEW[0], whole.log_weights(2_000, NEW[:1]))
    check_bound(conjugate, whole, NEW[1], whole.log_weights(2_000, NEW[1:2]))


def test_the_elbo_of_rows_is_the_sum_of_their_mean_log_weights(local):
    check_bound(rows_of_images, local, ROWS, local.log_weights(2_000, ROWS))
    check_bound(rows_of_images, local, ROWS[1:2], local.log_weights(2_000, ROWS[1:2]))


def test_every_row_has_a_factor_of_its_own_in_the_plate(local):
    trace = poutine.trace(local).get_trace(ROWS)
    factor = trace.nodes["_amortized_path"]
    assert [frame.name for frame in factor["cond_indep_stack"]] == ["images"]
    assert factor["fn"].log_prob(factor["value"]).shape == (4,) and trace.nodes["z"]["value"].shape == (4, 2)
    with pyro.plate("particles", 7, dim=-2):
        trace = poutine.trace(local).get_trace(ROWS)
    factor = trace.nodes["_amortized_path"]
    assert factor["fn"].log_prob(factor["value"]).shape == (7, 4) and trace.nodes["z"]["value"].shape == (7, 4, 2)


def test_rows_are_paired_with_their_own_data(local):
    """Under the model, replayed on the guide, each row's density less its factor is that row's log weight."""
    with pyro.plate("particles", 400, dim=-2), torch.no_grad():
        guided = poutine.trace(local).get_trace(ROWS)
        replayed = poutine.trace(poutine.replay(rows_of_images, trace=guided)).get_trace(ROWS)
    for trace in (guided, replayed):
        trace.compute_log_prob()
    factor = guided.nodes["_amortized_path"]["log_prob"]
    log_weights = (replayed.nodes["z"]["log_prob"] + replayed.nodes["x"]["log_prob"] - factor).double()
    expected = local.log_weights(400, ROWS)
    assert log_weights.shape == (400, 4)
    error = (log_weights.var(0) / 400 + expected.var(0) / 400).sqrt()
    assert ((log_weights.mean(0) - expected.mean(0)).abs() < 4 * error).all()


@pytest.mark.parametrize("parallel", [False, True])
def test_predictive_takes_one_data_set(whole, parallel):
    count = 300 if parallel else 5
    found = Predictive(conjugate, guide=whole, num_samples=count, parallel=parallel)(NEW[0])
    assert found["mean"].shape[0] == count and found["twice"].numel() == count
    if parallel:
        draws = whole.sample(1_000, NEW[0], correction="none")["mean"]
        assert abs(float(found["mean"].mean() - draws.mean())) < 5 * float(draws.std()) * math.sqrt(1 / 300 + 1 / 1_000)


@pytest.mark.parametrize("parallel", [False, True])
def test_predictive_takes_rows(local, parallel):
    found = Predictive(rows_of_images, guide=local, num_samples=6, parallel=parallel)(ROWS)
    assert found["z"].shape == (6, 4, 2)


def test_svi_moves_the_sampler_and_the_gaussian(local):
    before = [weight.detach().clone() for weight in local.parameters()]
    svi = SVI(
        rows_of_images,
        local,
        Adam({"lr": 1e-4}),
        Trace_ELBO(num_particles=4, vectorize_particles=True, max_plate_nesting=1),
    )
    assert math.isfinite(svi.step(ROWS))
    moved = [not torch.equal(*pair) for pair in zip(before, local.parameters(), strict=True)]
    assert sum(moved) > len(moved) / 2
    names = {name.split(".")[0] for (name, _), changed in zip(local.named_parameters(), moved, strict=True) if changed}
    assert names == {"sampler", "gaussian"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("amortize", "model", "data"), [("y", conjugate, NEW[0]), (LocalTo("images"), rows_of_images, ROWS)]
)
def test_svi_sets_up_a_guide_that_was_not_fitted(amortize, model, data, monkeypatch):
    shortened(monkeypatch, 20)
    guide = DiffusionGuide(model, amortize=amortize, progress=False, recipe=BRIEF)
    svi = SVI(
        model, guide, Adam({"lr": 1e-3}), Trace_ELBO(num_particles=8, vectorize_particles=True, max_plate_nesting=1)
    )
    assert math.isfinite(svi.step(data))
    assert guide.log_weights(10, data).isfinite().all()


def known_in_part(y, known):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", 3):
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y, obs_mask=known)


def test_a_site_known_in_part_is_told_whole():
    data = torch.tensor([0.5, torch.nan, 2.0]), torch.tensor([True, False, True])
    with pytest.MonkeyPatch.context() as patch:
        shortened(patch, 60)
        guide = DiffusionGuide(known_in_part, recipe=BRIEF, progress=False).fit(*data)
    told = guide(*data)["y_unobserved"]
    assert told.shape == (3,) and told[[0, 2]].tolist() == [0.5, 2.0]
    # log N(y; 0, I + 11ᵀ) of the two known values
    exact = float(dist.MultivariateNormal(torch.zeros(2), torch.eye(2) + 1).log_prob(data[0][data[1]]))
    assert guide.log_evidence().value == pytest.approx(exact, abs=0.05 + 4 * guide.log_evidence().std_error)
    elbo = Trace_ELBO(num_particles=200, vectorize_particles=True, max_plate_nesting=1)
    with torch.no_grad():
        filled = data[0].nan_to_num(), data[1]  # Pyro's own pass takes the gradient, and the term, of a NaN as NaN
        assert -elbo.loss(known_in_part, guide, *filled) < exact + 0.1
    predicted = Predictive(known_in_part, guide=guide, num_samples=5)(*filled)
    assert predicted["y"].reshape(5, 3)[:, [0, 2]].eq(data[0][[0, 2]]).all()
