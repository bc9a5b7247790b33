"""Conjugate models of the same data: Bayes factors and leave-one-out in closed form, and what cannot be compared."""

import math
from dataclasses import replace

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch.distributions import constraints

from amortized import DiffusionGuide, Recipe, compare
from amortized.baselines import nuts
from amortized.results.draws import Draws
from amortized.targets.pyro.target import PyroTarget
from amortized.weights import Estimate

DATA = torch.tensor([0.3, -1.2, 0.8, 2.0, 0.1])
NARROW, WIDE = 1.0, 30.0


def normal(scale, y=DATA, site="y"):
    def model():
        mean = pyro.sample("mean", dist.Normal(0.0, scale))
        with pyro.plate("rows", len(y)):
            pyro.sample(site, dist.Normal(mean, 1.0), obs=y)

    return model


def exact_evidence(scale):
    covariance = torch.eye(5).double() + scale**2
    return float(dist.MultivariateNormal(torch.zeros(5).double(), covariance).log_prob(DATA.double()))


def exact_draws(scale, y=DATA, site="y", count=4_000):
    """Draws from the conjugate posterior with its log evidence."""
    target = PyroTarget(normal(scale, y, site))
    precision = scale**-2 + len(y)
    mean = y.sum() / precision + precision**-0.5 * torch.randn(count, generator=torch.Generator().manual_seed(0))
    evidence = Estimate(exact_evidence(scale), 0.01)
    return Draws({"mean": mean}, "exact", states=mean[:, None], target=target, log_evidence=evidence)


def exact_leave_one_out(scale):
    total = 0.0
    for left in range(5):
        others = torch.cat([DATA[:left], DATA[left + 1 :]])
        precision = scale**-2 + 4
        predictive = dist.Normal(others.sum() / precision, math.sqrt(1 + 1 / precision))
        total += float(predictive.log_prob(DATA[left]))
    return total


def test_bayes_factor_and_leave_one_out_in_closed_form():
    """Pareto smoothing of 4,000 draws is within hundredths of a nat a datum: .1 for five."""
    found = compare({"wide": exact_draws(WIDE), "narrow": exact_draws(NARROW)})
    assert [one.name for one in found.models] == ["narrow", "wide"]
    wide, narrow = found["wide"], found["narrow"]
    expected = exact_evidence(WIDE) - exact_evidence(NARROW)
    assert wide.log_bayes_factor.value == pytest.approx(expected)
    assert wide.log_bayes_factor.std_error == pytest.approx(0.01 * math.sqrt(2))
    assert narrow.log_bayes_factor == Estimate(0.0, 0.0)
    assert wide.probability == pytest.approx(1 / (1 + math.exp(-expected)))
    for one, scale in ((wide, WIDE), (narrow, NARROW)):
        assert one.leave_one_out.value == pytest.approx(exact_leave_one_out(scale), abs=0.1)
    differences = wide.leave_one_out.each - narrow.leave_one_out.each
    best = max(wide.leave_one_out.value, narrow.leave_one_out.value)
    assert wide.loo_difference.value == pytest.approx(wide.leave_one_out.value - best)
    assert max(wide.loo_difference.std_error, narrow.loo_difference.std_error) == pytest.approx(
        math.sqrt(5) * differences.std()
    )
    lines = str(found).splitlines()
    assert len(lines) == 3 and "log Bayes factor" in lines[0] and lines[1].startswith("narrow")


def test_guides_are_compared():
    recipe = Recipe(steps=20, bridge_steps=20)
    guides = {
        name: DiffusionGuide(normal(scale), recipe=recipe, max_seconds=4, progress=False).fit()
        for name, scale in (("narrow", NARROW), ("wide", WIDE))
    }
    found = compare(guides)
    for name, scale in (("narrow", NARROW), ("wide", WIDE)):
        evidence = found[name].log_evidence
        assert abs(evidence.value - exact_evidence(scale)) < 4 * evidence.std_error + 1e-3
        assert found[name].verdict


def test_weighted_draws_are_resampled_first():
    """Draws of the wide posterior weighted to be the narrow one's have its leave-one-out."""
    wide = exact_draws(WIDE)
    weights = dist.Normal(0.0, NARROW).log_prob(wide.sites["mean"]) - dist.Normal(0.0, WIDE).log_prob(
        wide.sites["mean"]
    )
    weighted = Draws(**{**vars(exact_draws(NARROW)), "states": wide.states, "log_weights": weights.double()})
    found = compare({"wide": wide, "weighted": weighted})
    assert found["weighted"].leave_one_out.value == pytest.approx(exact_leave_one_out(NARROW), abs=0.1)


def test_sites_of_other_names_are_compared_without_pairing():
    found = compare({"one": exact_draws(NARROW), "other": exact_draws(WIDE, site="seen")})
    one, other = found["one"].leave_one_out, found["other"].leave_one_out
    larger = max(found["one"].loo_difference.std_error, found["other"].loo_difference.std_error)
    assert larger == pytest.approx(math.hypot(one.std_error, other.std_error))


def test_other_data_are_refused():
    with pytest.raises(ValueError, match=r"'one' observes 5 values at 'y' and 'other' 4 values at 'y'"):
        compare({"one": exact_draws(NARROW), "other": exact_draws(NARROW, DATA[:4])})


def test_draws_without_evidence_are_refused():
    chains = nuts.run(PyroTarget(normal(NARROW)), chains=1, draws=20, warmup=20)
    with pytest.raises(ValueError, match="draws of nuts have no log evidence"):
        compare({"one": exact_draws(NARROW), "nuts": chains})


def test_one_model_is_no_comparison():
    with pytest.raises(ValueError, match="compare two or more"):
        compare({"one": exact_draws(NARROW)})
    with pytest.raises(TypeError, match=r"compare got a list: write compare\(\{'one': guide_1"):
        compare([exact_draws(NARROW), exact_draws(WIDE)])


def test_an_improper_prior_is_told():
    def improper():
        mean = pyro.sample("mean", dist.ImproperUniform(constraints.real, (), ()))
        with pyro.plate("rows", 5):
            pyro.sample("y", dist.Normal(mean, 1.0), obs=DATA)

    draws = Draws(**{**vars(exact_draws(WIDE)), "target": PyroTarget(improper)})
    with pytest.warns(UserWarning, match="'flat' has an improper prior"):
        compare({"flat": draws, "narrow": exact_draws(NARROW)})


def test_an_untrusted_guide_is_told():
    draws = Draws(**{**vars(exact_draws(WIDE)), "attributes": {"verdict": "not to be trusted"}})
    with pytest.warns(UserWarning, match="'wide': its log evidence is not to be trusted"):
        compare({"wide": draws, "narrow": exact_draws(NARROW)})


def test_the_order_of_the_data_matters():
    with pytest.raises(ValueError, match="or other values of them"):
        compare({"one": exact_draws(NARROW), "other": exact_draws(NARROW, DATA.flip(0))})


def test_leave_one_out_needs_a_likelihood_of_each_datum():
    """A label of each datum is summed out in one model only: its leave-one-out is None, and said."""

    def labelled():
        mean = pyro.sample("mean", dist.Normal(0.0, NARROW))
        with pyro.plate("rows", 5):
            label = pyro.sample("label", dist.Bernoulli(0.5), infer={"enumerate": "parallel"})
            pyro.sample("y", dist.Normal(mean + 0.0 * label, 1.0), obs=DATA)

    plain = exact_draws(NARROW)
    draws = Draws(**{**vars(plain), "target": PyroTarget(labelled)})
    with pytest.warns(UserWarning, match="no leave-one-out, site 'y'"):
        found = compare({"labelled": draws, "plain": plain})
    assert found["labelled"].leave_one_out is None and found["labelled"].loo_difference is None
    assert found["plain"].leave_one_out is not None
    assert "unsound" not in str(found)


def test_masked_data_count_for_nothing():
    """The placeholder in the place of a missing datum is neither compared nor left out."""

    def masked(fill):
        def model():
            mean = pyro.sample("mean", dist.Normal(0.0, NARROW))
            there = torch.tensor([True, True, False, True, True])
            with pyro.plate("rows", 5), pyro.poutine.mask(mask=there):
                pyro.sample("y", dist.Normal(mean, 1.0), obs=torch.where(there, DATA, torch.tensor(fill)))

        return Draws(**{**vars(exact_draws(NARROW)), "target": PyroTarget(model)})

    found = compare({"zeros": masked(0.0), "nines": masked(99.0)})
    assert found["zeros"].leave_one_out.khat < 0.7
    assert len(found["zeros"].leave_one_out.each) == 4
    observed = masked(0.0).to_arviz().observed_data["y"].values
    assert [bool(missing) for missing in observed != observed] == [False, False, True, False, False]


def test_replicas_are_judged_by_the_worst():
    recipe = Recipe(steps=10, bridge_steps=10)
    guide = DiffusionGuide(normal(NARROW), replicas=2, recipe=recipe, max_seconds=3, progress=False).fit()
    other = guide.others[0].at()
    weights = other.weights().clone()
    weights[0] += 50.0
    vars(other)["fresh"] = replace(other.fresh, log_weights=weights)
    with pytest.warns(UserWarning, match="'one': its log evidence is not to be trusted"):
        found = compare({"one": guide, "other": exact_draws(NARROW)})
    assert found["one"].verdict == "not to be trusted"
