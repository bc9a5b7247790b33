"""Pyro's autoguides on a target: exact where the family holds it, corrected by their weights where not."""

from functools import partial

import pyro
import pytest
import torch
from pyro.infer.autoguide import AutoIAFNormal, AutoMultivariateNormal, AutoNormal

from amortized.baselines import svi
from tests.baselines import known


def test_a_full_covariance_finds_a_correlated_gaussian():
    """The target is in the family: log Z and moments as far as Adam's last rate leaves them."""
    draws = svi.run(known.tilted_gaussian(), guide=AutoMultivariateNormal, steps=1_000, seed=0)
    x = draws.sites["x"]
    assert draws.method == "AutoMultivariateNormal" and x.shape == (4_000, 2)
    assert draws.log_evidence is not None and abs(draws.log_evidence.value + 2.0) < 0.05
    assert float(draws.attributes["ess"]) > 3_000
    assert torch.all((x.mean(0) - torch.tensor([1.0, -2.0])).abs() < 0.2 * torch.tensor([0.5, 2.0]))
    assert torch.all((x.std(0) / torch.tensor([0.5, 2.0]) - 1).abs() < 0.15)


def test_independent_marginals_are_too_narrow_and_their_bound_says_by_how_much():
    """The best AutoNormal keeps the conditional deviations, 0.8 of the marginal, and its bound is log Z + log 0.8."""
    draws = svi.run(known.tilted_gaussian(), guide=AutoNormal, steps=1_000, seed=0)
    assert torch.all((draws.sites["x"].std(0) / torch.tensor([0.4, 1.6]) - 1).abs() < 0.15)
    assert abs(float(draws.attributes["elbo"]) - (-2.0 - 0.2231)) < 0.06
    assert draws.log_evidence is not None
    assert abs(draws.log_evidence.value + 2.0) < 4 * draws.log_evidence.std_error + 0.05


def test_a_flow_through_a_partial_and_a_model_with_arguments():
    flow = partial(AutoIAFNormal, num_transforms=2, hidden_dim=[8])
    draws = svi.run(known.skewed_mixture(), guide=flow, steps=60, draws=100, seed=0)
    assert draws.method == "AutoIAFNormal" and draws.log_weights is not None and draws.log_weights.shape == (100,)
    draws = svi.run(known.conjugate, (known.CONJUGATE_DATA,), steps=600, seed=0)
    assert abs(float(draws.sites["mean"].mean()) - known.CONJUGATE_MEAN) < 0.2 * known.CONJUGATE_DEVIATION
    assert draws.log_evidence is not None
    assert abs(draws.log_evidence.value - known.conjugate_log_evidence()) < 0.05


@pytest.mark.parametrize("guide", [AutoNormal, AutoIAFNormal])
def test_weights_are_log_r_minus_log_q(guide):
    """E_q[R / q] = Z even for a guide that was hardly fitted; states map to sites."""
    target = known.tilted_gaussian()
    draws = svi.run(target, guide=guide, steps=5, draws=50, seed=0)
    assert draws.states is not None and draws.log_weights is not None
    assert torch.equal(target.constrain(draws.states)["x"], draws.sites["x"])
    assert float(draws.attributes["elbo"]) == pytest.approx(float(draws.log_weights.mean()))


def test_nothing_reaches_or_leaves_the_parameter_store():
    own = pyro.param("AutoNormal.locs.x", torch.tensor(7.0))
    expected = torch.get_rng_state()
    draws = [svi.run(known.tilted_gaussian(), guide=AutoNormal, steps=20, draws=20, seed=s) for s in (0, 0, 1)]
    assert torch.equal(torch.get_rng_state(), expected)
    assert list(pyro.get_param_store().keys()) == ["AutoNormal.locs.x"]
    assert pyro.param("AutoNormal.locs.x") is own and own.tolist() == 7.0
    assert torch.equal(draws[0].sites["x"], draws[1].sites["x"])
    assert not torch.equal(draws[0].sites["x"], draws[2].sites["x"])


def test_the_seed_sets_the_start_and_every_draw(monkeypatch: pytest.MonkeyPatch):
    """Two runs from one start differ in their seed alone; the caller's random state has no part in either."""
    seeds = []

    def from_zero(target, chains, seed):
        seeds.append(seed)
        return torch.zeros(chains, target.dim)

    monkeypatch.setattr(svi, "uniform_starts", from_zero)
    found = {}
    for state in (0, 1):
        for seed in (3, 4):
            torch.manual_seed(state)
            found[state, seed] = svi.run(known.tilted_gaussian(), steps=2, draws=5, seed=seed).sites["x"]
    assert seeds == [3, 4, 3, 4]
    assert torch.equal(found[0, 3], found[1, 3]) and not torch.equal(found[0, 3], found[0, 4])
