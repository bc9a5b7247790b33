"""Nested sampling through dynesty: log Z, equal draws, seeds, and what to install."""

import contextlib
import sys
import warnings
from threading import active_count
from types import SimpleNamespace

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.baselines import nested
from amortized.baselines.reference import DiagonalGaussian, broad_gaussian
from amortized.targets.callable import DensityTarget
from tests.baselines import known
from tests.known import isotropic


def test_evidence_and_moments_of_a_skewed_mixture():
    """log Z within four errors of dynesty's; moments within five for half of ``ess``, as shells are correlated."""
    target = known.skewed_mixture()
    draws = nested.run(target, live_points=100, draws=1_000, seed=0)
    assert draws.log_evidence is not None and 0 < draws.log_evidence.std_error < 0.5
    assert abs(draws.log_evidence.value - known.LOG_Z) < 4 * draws.log_evidence.std_error
    x, ess = draws.sites["x"], min(float(draws.attributes["ess"]), 1_000) / 2
    assert x.shape == (1_000, 2) and draws.log_weights is None and draws.attributes["finished"] == 1
    assert torch.all((x.mean(0) - known.MEAN).abs() < 5 * known.DEVIATION / ess**0.5)
    assert draws.target_calls == target.calls > 1_000


def test_a_model_from_its_prior():
    draws = nested.run(known.conjugate, (known.CONJUGATE_DATA,), live_points=50, draws=200, seed=1)
    assert draws.log_evidence is not None
    assert abs(draws.log_evidence.value - known.conjugate_log_evidence()) < 4 * draws.log_evidence.std_error


@pytest.mark.filterwarnings("ignore:The sampling was stopped short")
def test_draws_depend_on_the_seed_alone_and_callers_state_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, two, other = (
        nested.run(known.tilted_gaussian(), live_points=24, max_calls=400, seed=seed) for seed in (3, 3, 4)
    )
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(one.sites["x"], two.sites["x"]) and one.log_evidence == two.log_evidence
    assert one.log_evidence != other.log_evidence


def test_what_is_not_finite_has_no_mass():
    """Half of N(0, 1) and NaN: Z = 1/2."""
    normal = torch.distributions.Normal(0.0, 1.0)
    half = DensityTarget(lambda x: torch.where(x[:, 0] > 0, normal.log_prob(x[:, 0]), torch.nan), dim=1)
    draws = nested.run(half, live_points=50, draws=200, seed=0)
    assert draws.log_evidence is not None and bool((draws.sites["x"] > 0).all())
    assert abs(draws.log_evidence.value + 0.6931) < 4 * draws.log_evidence.std_error


@pytest.mark.filterwarnings("ignore:The sampling was stopped short")
def test_a_budget_that_ends_the_run_is_said():
    draws = nested.run(known.skewed_mixture(), live_points=50, draws=20, max_calls=200, seed=0)
    assert draws.attributes["finished"] == 0


def test_a_budget_is_of_the_search_alone():
    """The pilot's 38,656 calls are over it, and the search ends within it."""
    draws = nested.run(known.tilted_gaussian(), live_points=50, draws=20, max_calls=20_000, seed=0)
    assert draws.target_calls > 38_000 and draws.attributes["finished"] == 1


def far_from_its_prior(y: torch.Tensor) -> None:
    """``log Z = log N(y; 0, 1.01)``; the posterior lies about 0.99 y, with deviation 0.0995."""
    pyro.sample("y", dist.Normal(pyro.sample("m", dist.Normal(0.0, 1.0)), 0.1), obs=y)


@pytest.mark.parametrize("y", [30.0, pytest.param(-30.0, marks=pytest.mark.slow)])
def test_a_posterior_far_from_the_prior(y: float):
    draws = nested.run(far_from_its_prior, (torch.tensor(y),), live_points=50, draws=200, seed=0)
    assert draws.log_evidence is not None
    truth = float(dist.Normal(0.0, 1.01**0.5).log_prob(torch.tensor(y)))
    assert abs(draws.log_evidence.value - truth) < 4 * draws.log_evidence.std_error
    assert abs(float(draws.sites["m"].mean()) - y / 1.01) < 5 * 0.0995 / (float(draws.attributes["ess"]) / 2) ** 0.5


@pytest.mark.filterwarnings("ignore:We have reached the plateau")
def test_mass_at_the_edge_of_the_cube_is_warned_of(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nested, "covering_gaussian", broad_gaussian)
    with pytest.warns(UserWarning, match=r"100% of the weight lies at the edge.*Compare smc.run, or shift and scale"):
        nested.run(far_from_its_prior, (torch.tensor(12.0),), live_points=5, draws=20, seed=0)


def test_a_thin_tail_at_the_edge_is_not_warned_of():
    u = np.array([[0.5, 1e-300], [0.5, 0.5]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nested.warn_of_the_edge(u, torch.tensor([0.009, 0.991]).log())
    with pytest.warns(UserWarning, match="^2% of the weight"):
        nested.warn_of_the_edge(u, torch.tensor([0.02, 0.98]).log())


@pytest.mark.parametrize("fails", [False, True])
def test_its_threads_end_with_it(fails: bool):
    class Failing(DensityTarget):
        def _log_prob(self, x: torch.Tensor) -> torch.Tensor:
            if fails and self.calls > 39_000:
                raise ZeroDivisionError("the density")
            return super()._log_prob(x)

    before, target = active_count(), Failing(lambda x: -0.5 * x.square().sum(-1), dim=2)
    with pytest.raises(ZeroDivisionError, match="the density") if fails else contextlib.nullcontext():
        nested.run(target, live_points=24, draws=20)
    assert active_count() == before


def test_the_message_where_dynesty_is_missing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "dynesty", None)
    with pytest.raises(ImportError, match=r"pip install 'amortized\[nested\]'"):
        nested.run(known.skewed_mixture())


def test_draws_come_in_no_order(monkeypatch: pytest.MonkeyPatch):
    """Samples that rise, all of one weight: 400 draws rise and fall as often, to five errors."""
    rising = np.arange(500.0)[:, None]
    counts = {"logz": [0.0], "logzerr": [0.1], "niter": 1, "eff": 1.0, "information": [0.0]}
    found = SimpleNamespace(logwt=np.zeros(500), samples_u=np.full((500, 1), 0.5), samples=rising, **counts)
    monkeypatch.setattr(nested, "search", lambda *_: (found, True))
    monkeypatch.setattr(nested, "covering_gaussian", lambda *_: DiagonalGaussian(torch.zeros(1), torch.ones(1)))
    x = nested.run(isotropic(1), draws=400).sites["x"][:, 0]
    assert abs(float((x.diff() > 0).double().mean()) - 0.5) < 5 * (0.25 / 400) ** 0.5
