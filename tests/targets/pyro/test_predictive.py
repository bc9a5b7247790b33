"""Predictions agree with closed forms, under vmap and in a loop; what cannot be drawn is left out."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch.distributions import constraints

from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.predictive import posterior_predictive, prior_predictive, unmasked_elements
from amortized.targets.pyro.target import PyroTarget

COUNT = 20_000
DATA = torch.tensor([1.0, 2.0, 4.0])


def conjugate(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 2.0))
    pyro.deterministic("twice", 2 * mean)
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y)


def unbatchable(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 2.0))
    shift = 1.0 if mean.item() > 100.0 else 0.0
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(mean + shift, 1.0), obs=y)


def pots(germinated):
    rate = pyro.sample("rate", dist.Beta(2.0, 2.0))
    with pyro.plate("pots", 2):
        pyro.sample("germinated", dist.Binomial(torch.tensor([10.0, 20.0]), rate), obs=germinated)


def improper(y):
    mean = pyro.sample("mean", dist.ImproperUniform(constraints.real, (), ()))
    pyro.sample("y", dist.Normal(mean, 1.0).expand([3]).to_event(1), obs=y)


def with_factor(y):
    conjugate(y)
    pyro.factor("penalty", torch.tensor(-1.0))


def test_the_prior_and_its_predictions_have_their_moments():
    """sd of y is √5; that of its mean over COUNT draws √5 / √COUNT = .016, of its sd √5 / √(2 COUNT) = .011: four."""
    latent, observed = prior_predictive(PyroTarget(conjugate, (DATA,)), COUNT)
    assert set(latent) == {"mean", "twice"} and torch.equal(latent["twice"], 2 * latent["mean"])
    assert observed["y"].shape == (COUNT, 3)
    assert float(observed["y"].mean(0).abs().max()) < 4 * 0.016
    assert float((observed["y"].std(0) - 5**0.5).abs().max()) < 4 * 0.011
    correlation = torch.corrcoef(torch.stack([latent["mean"], observed["y"][:, 0]]))[0, 1]
    assert abs(float(correlation) - 2 / 5**0.5) < 4 * (1 - 0.8) / COUNT**0.5


@pytest.mark.filterwarnings("ignore:the log density of this model runs")
@pytest.mark.parametrize("model", [conjugate, unbatchable])
def test_observed_sites_are_drawn_anew_at_every_draw(model):
    """Each y is within 6 sd of the latent that it was drawn at; the chance of a miss over 6,000 is 1e-5."""
    means = torch.linspace(-50.0, 50.0, 2_000)
    y = posterior_predictive(PyroTarget(model, (DATA,)), {"mean": means})["y"]
    assert y.shape == (2_000, 3)
    assert float((y - means[:, None]).abs().max()) < 6
    assert float(y.std(0).min()) > 20
    assert abs(float((y - means[:, None]).std()) - 1) < 4 / (2 * 6_000) ** 0.5


def test_counts_are_drawn_with_their_own_sizes():
    """Binomial means n p: sd of the mean of 10,000 is √(20 · .21) / 100 = .02."""
    y = posterior_predictive(PyroTarget(pots, (torch.tensor([3.0, 6.0]),)), {"rate": torch.full((10_000,), 0.3)})
    assert torch.allclose(y["germinated"].mean(0), torch.tensor([3.0, 6.0]), atol=0.08)
    assert float(y["germinated"].amax(0)[0]) <= 10


def test_the_same_seed_gives_the_same_and_the_caller_keeps_his():
    target = PyroTarget(conjugate, (DATA,))
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    one, two = (prior_predictive(target, 5, seed=3)[1]["y"] for _ in range(2))
    assert torch.equal(one, two) and torch.equal(torch.rand(1), expected)
    assert not torch.equal(one, prior_predictive(target, 5, seed=4)[1]["y"])


def observes_a_function(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 2.0))
    pyro.sample("near_one", dist.Normal(0.0, 0.1), obs=mean - 1)
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y)


@pytest.mark.parametrize("model", [improper, with_factor, observes_a_function])
def test_no_prior_where_nothing_can_be_drawn_or_a_factor_is_part_of_it(model):
    target = PyroTarget(model, (DATA,))
    assert prior_predictive(target, 10) == ({}, {})
    assert posterior_predictive(target, {"mean": torch.zeros(10)})["y"].shape == (10, 3)


def test_a_discrete_latent_that_data_share_leaves_them_out():
    """One switch for all data is known from the data, not from its prior; a label of each datum is drawn anew."""

    def switched(y):
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        switch = pyro.sample("switch", dist.Bernoulli(0.5), infer={"enumerate": "parallel"})
        with pyro.plate("rows", len(y)):
            pyro.sample("y", dist.Normal(mean + 10.0 * switch, 1.0), obs=y)

    def labelled(y):
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        with pyro.plate("rows", len(y)):
            label = pyro.sample("label", dist.Bernoulli(0.5), infer={"enumerate": "parallel"})
            pyro.sample("y", dist.Normal(mean + 10.0 * label, 1.0), obs=y)

    means = {"mean": torch.zeros(4_000)}
    assert posterior_predictive(PyroTarget(switched, (DATA,)), means) == {}
    y = posterior_predictive(PyroTarget(labelled, (DATA,)), means)["y"]
    assert abs(float((y > 5).double().mean()) - 0.5) < 4 * 0.5 / (3 * 4_000) ** 0.5


def test_masked_elements_do_not_count():
    def masked(y):
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        with pyro.plate("rows", len(y)), pyro.poutine.mask(mask=torch.tensor([True, False, True])):
            pyro.sample("y", dist.Normal(mean, torch.ones(2)).to_event(1), obs=torch.stack([y, y], -1))

    found = unmasked_elements(PyroTarget(masked, (DATA,)), {"mean": torch.zeros(1)})["y"]
    assert found.tolist() == [[True, True], [False, False], [True, True]]


def test_of_a_set_its_own_rows_alone():
    """A set of 2 among sets of 3 has two observations, two predictions and two likelihoods, its padding none."""
    family = ConditionalTarget(conjugate, "y", ([DATA, DATA[:2] + 1.0],))
    target = family.at(family.rows[1:])
    assert target.observations["y"].tolist() == (DATA[:2] + 1.0).tolist()
    assert posterior_predictive(target, {"mean": torch.zeros(50)})["y"].shape == (50, 2)
    assert target.pointwise_log_likelihood(torch.zeros(50, 1))["y"].shape == (50, 2)
    assert prior_predictive(target, 50)[1]["y"].shape == (50, 2)
    assert unmasked_elements(target, {"mean": torch.zeros(1)})["y"].tolist() == [True, True]


def test_on_its_device_whatever_the_default():
    """The model runs where the target is: a tensor that it makes is on the device that the handler sees."""
    seen = []

    def model(y):
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        seen.append(torch.get_default_device())
        pyro.sample("y", dist.Normal(mean, torch.ones(())), obs=y)

    target = PyroTarget(model, (torch.tensor(1.0),))
    target.device = torch.device("meta")
    seen.clear()
    with pytest.raises((RuntimeError, NotImplementedError)):
        prior_predictive(target, 2)
        raise RuntimeError("the model ran through")
    assert seen and all(device.type == "meta" for device in seen)


def test_one_distribution_for_all_data_without_a_plate_draws_as_many():
    def model(y):
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    target = PyroTarget(model, (torch.zeros(30),))
    assert prior_predictive(target, 7)[1]["y"].shape == (7, 30)
    drawn = posterior_predictive(target, {"mean": torch.zeros(5)})["y"]
    assert drawn.shape == (5, 30) and len(drawn.unique()) == 150
