"""Simulated pairs follow the model's joint law, each by itself, and what cannot be simulated is found out."""

from __future__ import annotations

import math
import warnings

import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.targets.conditional.contexts import LocalTo
from amortized.targets.conditional.simulation import check_simulation, simulate
from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.trace import ModelError
from tests.known import seeded
from tests.targets.conditional.test_target import conjugate, conjugate_site, counts, images, regression, two_levels

COUNT = 20_000


def branching(y):
    """The conjugate model, in words that vmap does not take."""
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    scale = 0.5 if float(mean) > -1e6 else 1.0
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mean, scale), obs=y)


def family(model, *args, amortize="y", **kwargs) -> ConditionalTarget:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ConditionalTarget(model, amortize, args, kwargs, capture_seconds=0.0)


def drawn(target: ConditionalTarget, count: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return simulate(target, target.rows[torch.arange(count) % len(target.rows)], seed)


def check_moments(values: torch.Tensor, mean: torch.Tensor, covariance: torch.Tensor) -> None:
    """Of normal values ``(N, P)``: five standard errors of every mean and covariance."""
    count = len(values)
    assert ((values.mean(0) - mean).abs() < 5 * (covariance.diagonal() / count).sqrt()).all()
    spread = covariance.diagonal()[:, None] * covariance.diagonal() + covariance.square()
    assert ((values.T.cov() - covariance).abs() < 5 * (spread / count).sqrt()).all()


@pytest.mark.parametrize(("model", "count"), [(conjugate, COUNT), (conjugate_site, COUNT), (branching, 1_000)])
def test_pairs_have_the_moments_of_the_joint_law(model, count):
    """(mean, y) is normal: Var mean = 1, Cov(mean, y_i) = 1, Cov(y_i, y_j) = 1 + 0.25 [i = j]; so noise of two
    positions, and of two rows, has nothing in common."""
    name = "obs" if model is conjugate_site else "y"
    given = 7 + torch.zeros(3) if name == "obs" else 7 + torch.zeros(2, 3)
    x, rows = drawn(family(model, given, amortize=name), count)
    assert x.shape == (count, 1) and rows.shape == (count, 3)
    joint = torch.ones(4, 4) + torch.diag(torch.tensor([0.0, 0.25, 0.25, 0.25]))
    check_moments(torch.cat([x, rows], 1), torch.zeros(4), joint)
    both = torch.cat([x, rows], 1)
    neighbours = (both[:-1].T @ both[1:]) / count
    assert neighbours.abs().max() < 5 * 1.25 / math.sqrt(count)
    assert len(x.unique()) > 0.99 * count


def test_latents_come_in_unconstrained_coordinates_and_counts_as_numbers():
    """level ~ Gamma(2, 0.5), y | level ~ Poisson(level): mean 4, Var y = 4 + 8, Cov(y_i, y_j) = 8; five standard errors
    of 4 000, the fourth moment of y being below 4 · 12² · 5."""
    target = family(counts, torch.tensor(0.5), y=torch.ones(2, 2, dtype=torch.int64))
    x, rows = drawn(target, 4_000)
    assert torch.equal(rows, rows.round()) and (rows >= 0).all()
    level = x[:, 0].exp()
    assert abs(float(level.mean()) - 4) < 5 * math.sqrt(8 / 4_000)
    assert ((rows.mean(0) - 4).abs() < 5 * math.sqrt(12 / 4_000)).all()
    expected = torch.tensor([[12.0, 8.0], [8.0, 12.0]])
    assert ((rows.T.cov() - expected).abs() < 5 * math.sqrt(20 * 144 / 4_000)).all()


def test_covariates_stay_and_data_follow_them():
    """weights ~ N(0, I), noise ~ half normal: y_i of covariates x_i has variance |x_i|² + 1, of 20 000 within 10 %."""
    x, y = torch.randn(2, 3, 2, generator=seeded(1)), torch.zeros(2, 3)
    target = family(regression, x, y, amortize=("x", "y"))
    _, rows = drawn(target, COUNT)
    covariates, data = target.contexts.split(rows)
    assert torch.equal(covariates, x[torch.arange(COUNT) % 2])
    for m in range(2):
        found = data[m::2].square().mean(0)
        assert (found / (x[m].square().sum(-1) + 1) - 1).abs().max() < 0.1


def covariate_known_in_part(x, y):
    centre = pyro.sample("centre", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", 3):
        x = pyro.sample("x", dist.Normal(centre, 1.0), obs=x, obs_mask=torch.tensor([True, False, True]))
        pyro.sample("y", dist.Normal(2 * x, 0.5), obs=y)


def test_an_unknown_covariate_is_drawn_and_a_known_one_stays():
    """(centre, x_2, y_1, y_2, y_3): y_i given a known x_i has its own noise alone, y_2 has 4 Var x_2 + 0.25."""
    known = torch.tensor([0.5, 0.0, -1.0])
    target = family(covariate_known_in_part, known, torch.zeros(2, 3), amortize="y")
    assert target.dim == 2
    check_simulation(target, target.rows)
    x, rows = drawn(target, COUNT)
    mean = torch.tensor([0.0, 0.0, 1.0, 0.0, -2.0])
    covariance = torch.diag(torch.tensor([1.0, 2.0, 0.25, 8.25, 0.25]))
    covariance[0, 1] = covariance[1, 0] = 1.0
    covariance[0, 3] = covariance[3, 0] = 2.0
    covariance[1, 3] = covariance[3, 1] = 4.0
    joint = torch.cat([x, rows], 1)
    check_moments(joint, mean, covariance)
    centre, unknown = x.T
    want = dist.Normal(0.0, 1.0).log_prob(centre) + dist.Normal(centre, 1.0).log_prob(unknown)
    want = want + dist.Normal(centre[:, None], 1.0).log_prob(known[[0, 2]]).sum(1)
    completed = known.expand(COUNT, 3).clone()
    completed[:, 1] = unknown
    want = want + dist.Normal(2 * completed, 0.5).log_prob(rows).sum(1)
    torch.testing.assert_close(target.at(rows[:3]).log_prob(x[:3]), want[:3])


def partly_known(known, y):
    centre = pyro.sample("centre", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", 3):
        pyro.sample("x", dist.Normal(centre, 1.0), obs=y, obs_mask=known)


def test_data_known_in_part_are_amortized_over():
    known, y = torch.tensor([True, False, True]), torch.tensor([[0.5, 0.0, 1.0], [2.0, 0.0, -1.0]])
    target = family(partly_known, known, y, amortize="y")
    check_simulation(target, target.rows)
    x, rows = drawn(target, 4)
    assert target.dim == 2 and x.shape == (4, 2) and (rows[:, 1] == 0).all() and (rows[:, 0] != y[0, 0]).all()
    x = torch.tensor([[0.3, -0.2]])
    normal = dist.Normal(0.3, 1.0).log_prob
    want = dist.Normal(0.0, 1.0).log_prob(x[0, 0]) + normal(y[:, known]).sum(1) + normal(x[0, 1])
    torch.testing.assert_close(target.at(y).log_prob(x.expand(2, 2)), want)


def test_what_is_known_may_not_vary_with_the_data():
    model, y = partly_known, torch.zeros(2, 3)
    with pytest.raises(ModelError, match="obs_mask depends on a latent, or on data that are amortized over"):
        family(model, torch.tensor([[True, False, True]] * 2), y, amortize=("known", "y"))


def test_rows_that_a_set_lacks_stay_missing():
    target = family(two_levels, [torch.zeros(2, 2), torch.zeros(4, 2)])
    _, rows = drawn(target, 100)
    (sets,) = target.contexts.split(rows)
    assert sets[::2, 2:].isnan().all() and sets[::2, :2].isfinite().all() and sets[1::2].isfinite().all()


def test_latents_of_a_row_are_drawn_with_it():
    target = family(images, torch.zeros(4, 3), amortize=LocalTo("images"))
    x, rows = drawn(target, 4_000)
    assert x.shape == (4_000, 3) and rows.shape == (4_000, 3)
    order = [target.latents[name].slice for name in ("z", "scale")]
    z, log_scale = x[:, order[0]], x[:, order[1]]
    assert abs(float(z.var()) - 1) < 5 * math.sqrt(2 / 8_000)
    assert abs(float(log_scale.var()) - 0.25) < 5 * 0.25 * math.sqrt(2 / 4_000)
    noise = (rows[:, :2] - z) / log_scale.exp()
    check_moments(noise, torch.zeros(2), torch.eye(2))


@pytest.mark.parametrize("model", [conjugate, branching])
def test_the_same_seed_gives_the_same_pairs(model):
    target = family(model, torch.zeros(2, 3))
    state = torch.get_rng_state()
    one, two, other = (drawn(target, 20, seed) for seed in (3, 3, 4))
    assert torch.equal(one[0], two[0]) and torch.equal(one[1], two[1])
    assert not torch.equal(one[0], other[0])
    assert torch.equal(state, torch.get_rng_state())


def test_large_numbers_of_pairs_are_made_in_pieces_that_differ():
    x, _ = drawn(family(conjugate, torch.zeros(2, 3)), 9_000)
    assert len(x.unique()) > 8_900


def centred_on_data(y):
    mean = pyro.sample("mean", dist.Normal(y[0], 1.0))
    pyro.sample("y", dist.Normal(mean, 1.0).expand([3]).to_event(1), obs=y)


def scaled_by_data(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(mean, 1 + y.abs().sum()).expand([3]).to_event(1), obs=y)


@pytest.mark.parametrize("model", [centred_on_data, scaled_by_data])
def test_a_model_that_uses_its_data_twice_is_found_out(model):
    target = family(model, 2 + torch.zeros(2, 3))
    with pytest.raises(ModelError, match="have log density .* once they are observed: the model uses y in another"):
        check_simulation(target, target.rows)


@pytest.mark.parametrize("model", [conjugate, branching])
def test_an_honest_model_passes(model):
    target = family(model, torch.randn(4, 3))
    check_simulation(target, target.rows)
