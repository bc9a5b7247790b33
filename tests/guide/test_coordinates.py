"""The guide chooses coordinates, says which, and speaks of the user's sites."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from amortized import DiffusionGuide
from tests.amortization.quick import BRIEF, shortened
from tests.known import seeded


def funnel():
    log_variance = pyro.sample("log_variance", dist.Normal(0.0, 3.0))
    with pyro.plate("n", 4):
        pyro.sample("x", dist.Normal(0.0, (log_variance / 2).exp()))


@pytest.mark.filterwarnings("ignore:no site is observed")
def test_a_centred_funnel_is_right_in_chosen_coordinates():
    guide = DiffusionGuide(funnel, progress=False).fit()
    draws, found = guide.sample(4_000), guide.diagnose()
    assert found.verdict == "trustworthy" and set(draws) == {"log_variance", "x"}
    assert abs(float(draws["log_variance"].std()) - 3.0) < 0.15
    assert abs(float((draws["x"][:, 0] * (-draws["log_variance"] / 2).exp()).std()) - 1.0) < 0.05
    assert guide.coordinates["x"].startswith("c = 0.0") and "constant" in guide.coordinates["log_variance"]


def test_an_unknown_choice_is_named():
    with pytest.raises(ValueError, match="coordinates='non-centred': write 'auto' or 'centred'"):
        DiffusionGuide(funnel, coordinates="non-centred")


def groups(y):
    mean, spread = pyro.sample("mean", dist.Normal(0.0, 2.0)), pyro.sample("spread", dist.HalfNormal(2.0))
    with pyro.plate("n", y.shape[-1]):
        place = pyro.sample("place", dist.Normal(mean, spread))
        pyro.sample("y", dist.Normal(place, 2.0), obs=y)


@pytest.mark.filterwarnings("ignore:at this data set", "ignore:at .* of .* data sets", "ignore:max_seconds")
def test_many_data_sets_share_one_choice_and_answer_in_the_users_sites(monkeypatch):
    shortened(monkeypatch, 50)
    data = torch.randn(20, 3, generator=seeded(0))
    guide = DiffusionGuide(groups, amortize="y", recipe=BRIEF, progress=False, max_seconds=40).fit(data)
    assert guide.coordinates["place"].startswith("c = 0.0") and set(guide.coordinates) == {"mean", "spread", "place"}
    draws, batch = guide.sample(100, data[0]), guide.sample(100, data[:2])
    assert {name: value.shape[1:] for name, value in draws.items()} == {"mean": (), "spread": (), "place": (3,)}
    assert (batch["spread"] > 0).all() and batch["place"].shape == (2, 100, 3)
    here = guide.at(data[0])
    assert set(here.sample(10)) == set(draws) == set(guide.refine(data[0], seconds=0.2).sample(10))
    named = " ".join(found.name for found in guide.calibrate(16, 7).scalars)
    assert all(name in named for name in draws)
    traced = poutine.trace(guide).get_trace(data[0])
    assert traced.nodes["place"]["value"].shape == (3,)


def test_many_data_sets_can_stay_as_written(monkeypatch):
    shortened(monkeypatch, 5)
    guide = DiffusionGuide(groups, amortize="y", coordinates="centred", recipe=BRIEF, progress=False, max_seconds=20)
    guide._prepare((torch.zeros(2, 3),), {})
    assert set(guide.coordinates.values()) == {"as written: coordinates='centred'"}
    assert all(site.centring is None for site in guide.fitted.latents.values())
