"""The guide chooses coordinates, says which, and speaks of the user's sites."""

import pyro
import pyro.distributions as dist
import pytest

from amortized import DiffusionGuide


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


def test_many_data_sets_stay_as_written():
    assert DiffusionGuide(funnel, amortize="y").options.coordinates == "auto"
