"""Replicas: chains of equal length, pooled evidence, the worst verdict, seeds of their own."""

import math
from dataclasses import replace

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized import DiffusionGuide, Recipe
from amortized.guide import guide as module
from amortized.guide.replicas import as_chains, averaged, record_of
from amortized.results.draws import Draws
from amortized.weights import Estimate


def model(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y)


DATA = torch.tensor([0.5, 1.5])


@pytest.fixture(scope="module")
def guide():
    recipe = Recipe(steps=20, bridge_steps=20)
    return DiffusionGuide(model, replicas=2, seed=5, recipe=recipe, max_seconds=10, progress=False).fit(DATA)


def test_every_replica_is_a_chain(guide):
    data = guide.to_arviz(num_samples=600)
    assert dict(data.posterior.sizes) == {"chain": 2, "draw": 300}
    assert [other.options.seed for other in guide.others] == [6]
    one, other = data.posterior["mean"].values
    assert not (one == other).any()
    assert abs(one.mean() - other.mean()) < 5 * math.sqrt(2 / 3 / 3 / 300)
    assert data.posterior.attrs["seconds"] == pytest.approx(guide.seconds + guide.others[0].seconds)
    for group in ("log_likelihood", "posterior_predictive", "observed_data", "prior", "prior_predictive"):
        assert "mean" in data[group] if group == "prior" else "y" in data[group]


def test_replicas_share_the_recorded_density_and_nothing_that_is_random(guide):
    first, other = guide, guide.others[0]
    assert other.target.program is first.target.program and other.coordinates == first.coordinates
    before = other.target.calls
    first.target.log_prob(torch.zeros(7, 1))
    assert 0 < other.target.calls == before
    assert other.fitted.generator.initial_seed() == 6
    weights = zip(first.sampler.policy.parameters(), other.sampler.policy.parameters(), strict=True)
    assert not any(torch.equal(one, two) for one, two in weights if one.std() > 0)


def test_another_fit_of_a_replica_records_its_own_data(guide, monkeypatch: pytest.MonkeyPatch):
    class Reached(Exception):
        """The fit asked for a density."""

    def single(model, args, kwargs, plan, like):
        assert like is None and torch.equal(args[0], DATA + 1.0)
        raise Reached

    monkeypatch.setattr(module, "Single", single)
    with pytest.raises(Reached):
        guide.others[0].fit(DATA + 1.0)


def test_uneven_chains_are_refused(guide):
    with pytest.raises(ValueError, match=r"num_samples=601 for 2 replicas: write num_samples=602"):
        guide.to_arviz(num_samples=601)


def test_the_report_is_that_of_all_and_judged_by_the_worst(guide, tmp_path):
    other = guide.others[0].at()
    before, weights = other.fresh, other.weights().clone()
    weights[0] += 50.0
    vars(other)["fresh"] = replace(before, log_weights=weights)
    with pytest.warns(UserWarning, match="worth about . independent"):
        page = guide.report(tmp_path / "all.html").read_text()
    vars(other)["fresh"] = before
    assert "not to be trusted" in page.lower() and "trustworthy" not in page.lower()


def test_calls_of_methods_that_ran_since_are_not_the_guides_own(guide):
    other = Draws({"mean": torch.zeros(1)}, "nuts", target=guide.target, target_calls=1_000)
    elsewhere = Draws({"mean": torch.zeros(1)}, "nuts", target_calls=77)
    found, _ = record_of([guide.at()], guide.seconds, 100, after=[other, elsewhere])
    assert found.target_calls == guide.target.calls - 1_000


@pytest.mark.parametrize("replicas", [0, 1.5])
def test_a_number_of_replicas_is_asked_for(replicas):
    with pytest.raises(ValueError, match="replicas="):
        DiffusionGuide(model, replicas=replicas)


def test_the_worst_verdict_is_told():
    good, bad = (
        Draws({"x": torch.zeros(2)}, "guide", attributes={"verdict": verdict, "khat": khat, "ess_fraction": 0.5})
        for verdict, khat in (("trustworthy", 0.1), ("not to be trusted", 0.9))
    )
    told = as_chains([good, bad, good]).attributes
    assert (told["verdict"], told["khat"]) == ("not to be trusted", 0.9)


def test_evidence_is_averaged_where_it_is_evidence():
    """Z of 1 and 3 average to 2; the error is that of (Z₁ + Z₂) / 2 over 2: √(1 · .1² + 9 · .2²) / 4."""
    found = averaged([Estimate(0.0, 0.1), Estimate(math.log(3.0), 0.2)])
    assert found is not None
    assert found.value == pytest.approx(math.log(2.0))
    assert found.std_error == pytest.approx(math.sqrt(0.01 + 9 * 0.04) / 4)
    assert averaged([]) is None
