"""The one check of a model: every mistake is named, and no legal model is refused or warned of."""
# ruff: noqa: E501

import time
import warnings
from collections.abc import Callable

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.checks.runs import SECONDS
from amortized.targets.pyro.checks.validation import check, check_data_sets, checked
from amortized.targets.pyro.target import PyroTarget
from amortized.targets.pyro.trace import ModelError
from amortized.targets.troubles import OutsideSupport
from tests.targets.programs import PROGRAMS

YEARS, FIRM = torch.linspace(0, 1, 30), torch.arange(30) % 3
WAGE = 1.0 + YEARS
COUNTS = torch.tensor([[1.0, 0.0, 3.0, 2.0], [2.0, 2.0, 0.0, 1.0], [4.0, 1.0, 0.0, 0.0]])
HEIGHTS = torch.linspace(-3, 3, 30)


def wages(years, firm, wage, rows=None, noise=None, observed=True):
    slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
    noise = pyro.sample("noise", noise or dist.HalfNormal(1.0))
    with pyro.plate("firms", 3):
        level = pyro.sample("level", dist.Normal(0.0, 1.0))
    with pyro.plate("workers", rows or len(years)):
        pyro.sample("wage", dist.Normal(level[firm] + slope * years, noise), obs=wage if observed else None)


def outbreak(counts):
    rate = pyro.sample("rate", dist.Gamma(2.0, 1.0))
    with pyro.plate("weeks", len(counts)):
        pyro.sample("counts", dist.Poisson(rate), obs=counts)


def heights(y, concentration=(1.0, 1.0), rows=None, as_list=False, part=None):
    weights = pyro.sample("weights", dist.Dirichlet(torch.tensor(concentration)))
    places = pyro.sample("places", dist.Normal(0.0, 3.0).expand([2]).to_event(1))
    with pyro.plate("people", rows or len(y), subsample_size=part):
        label = pyro.sample("label", dist.Categorical(weights))
        pyro.sample("y", dist.Normal(places[label], 1.0), obs=y.tolist() if as_list else y[:part])


def events(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(mean, 1.0).expand([30]).to_event(1), obs=y)


@pytest.mark.parametrize(
    ("model", "args", "kwargs", "message"),
    [
        (wages, (YEARS, FIRM, WAGE[:, None]), {}, r"'wage' has data of shape \(30, 1\), .* shape \(30,\): .*\(30, 30\); .*reshape\(30\)"),
        (wages, (YEARS, FIRM, WAGE[:20]), {}, r"'wage' has data of shape \(20,\), and plate 'workers' .* has 30 rows: pass 30"),
        (wages, (YEARS, FIRM), {}, r"missing a required argument: 'wage'; write guide.fit\(years, firm, wage\)"),
        (wages, (YEARS, FIRM, WAGE), {"rows": 5}, r"'wage': its distribution has 30 rows, and plate 'workers' around it 5; write"),
        (wages, (YEARS, FIRM + 1, WAGE), {}, r"raises IndexError: index 3 .* in line \d+ of test_validation.py, .*firm \(30,\)"),
        (wages, (YEARS, FIRM, WAGE.log() - torch.inf * 0), {}, r"'wage': 30 of its 30 values are NaN; drop these rows, or write"),
        (wages, (YEARS[:0], FIRM[:0], WAGE[:0]), {}, r"a plate of the model has no rows in line .*: pass one row of data"),
        (outbreak, (COUNTS[0] - 2,), {}, r"'counts': 2 of its 4 values are outside the support of Poisson, whole numbers from 0 .*-1 at \[0\]"),
        (outbreak, (COUNTS[0] + 0.5,), {}, r"'counts': 4 of its 4 values are outside the support .*the first is 1.5"),
        (heights, (HEIGHTS[:, None],), {}, r"together they would become \(30, 30\); write obs=y.reshape\(30\)"),
        (events, (HEIGHTS[:, None],), {}, r"'y' has data of shape \(30, 1\), .* shape \(30,\): together .*\(30, 30\); write obs=y.reshape\(30\)"),
        (heights, (HEIGHTS,), {"rows": 5}, r"'y' has data of shape \(30,\), and plate 'people' .* write pyro.plate\('people', 30\)"),
        (heights, (HEIGHTS[:, None].expand(30, 2),), {}, r"shape \(30, 2\), and its distribution has shape \(30,\): pass y of shape"),
        (heights, (HEIGHTS, (1.0, -1.0)), {}, r"'weights': the concentration .* is -1 whatever the latents are, and must be above 0"),
        (heights, (HEIGHTS,), {"as_list": True}, r"observed site 'y' is a list, not a tensor: type obs=torch.as_tensor"),
        (heights, (HEIGHTS,), {"part": 10}, r"plate 'people' draws 10 of 30 rows at random"),
        (heights, (HEIGHTS,), {"row": 30}, r"unexpected keyword argument 'row'; write guide.fit\(y\)"),
    ],
)  # fmt: skip
def test_a_mistake_is_named(model: Callable, args, kwargs, message: str):
    with pytest.raises(ModelError, match=message) as caught:
        checked(model, args, kwargs, 0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "args", "kwargs", "message"),
    [
        (wages, (YEARS, FIRM, WAGE), {"observed": False}, r"no site is observed: .* write pyro.sample\('wage', ..., obs=wage\)"),
        (heights, (HEIGHTS[:1],), {"rows": 30}, r"'y' has one value for all 30 of its elements: .*obs=y.expand\(30\)"),
    ],
)  # fmt: skip
def test_what_is_legal_but_unlikely_is_said(model, args, kwargs, message):
    with pytest.warns(UserWarning, match=message):
        checked(model, args, kwargs, 0)


def test_the_share_of_prior_draws_that_leave_a_constraint():
    """Half of the draws of N(0, 1) are negative; of the 60 draws and more that time allows 5 sd are 32 points."""
    with pytest.warns(UserWarning, match=r"site 'wage': the scale .* must be above 0, and is not at \d+% of") as caught:
        check((wages, (YEARS, FIRM, WAGE), {"noise": dist.Normal(0.0, 1.0)}), 0)
    share = int(str(caught[0].message).split("not at ")[1].split("%")[0])
    assert 18 <= share <= 82


def test_a_parameter_that_depends_on_latents_is_never_refused():
    def far():
        x = pyro.sample("x", dist.Normal(-10.0, 1.0))
        pyro.sample("y", dist.Normal(0.0, x), obs=torch.tensor(0.0))

    with pytest.warns(UserWarning, match="is not at 100% of"):
        check((far, (), {}), 0)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_legal_model_passes_in_silence(name):
    example = PROGRAMS[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        args, kwargs, structure = checked(example.model, example.args, example.kwargs, 0)
    assert structure.dim > 0 and len(args) == len(example.args)


def masked_nan(y):
    m = pyro.sample("m", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 3), poutine.mask(mask=~y.isnan()):
        pyro.sample("y", dist.Normal(m, 1.0), obs=y)


def soft_labels(y):
    p = pyro.sample("p", dist.Beta(1.0, 1.0))
    with pyro.plate("n", 3):
        pyro.sample("y", dist.Bernoulli(p, validate_args=False), obs=y)


def own_masked_distribution(y):
    m = pyro.sample("m", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 3):
        pyro.sample("y", dist.HalfNormal(m.exp()).mask(~y.isnan()), obs=y)


def vector_without_plate(y):
    m = pyro.sample("m", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(m, 1.0), obs=y)


def scalar_for_all(y):
    with pyro.plate("n", 3):
        m = pyro.sample("m", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(m, 1.0), obs=y)


def moving_observation(y):
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Uniform(0.0, 1.0), obs=y + x)


def capture_recapture(y):
    top = pyro.sample("top", dist.Pareto(1.0, 1.5))
    with pyro.plate("n", len(y)):
        pyro.sample("y", dist.Uniform(0.0, top), obs=y)


def exponential_top(y):
    top = pyro.sample("top", dist.Exponential(1.0))
    with pyro.plate("n", len(y)):
        pyro.sample("y", dist.Uniform(0.0, top), obs=y)


def latent_floor(y):
    floor = pyro.sample("floor", dist.Gamma(20.0, 2.0))
    pyro.sample("y", dist.Pareto(floor, 2.0), obs=y)


def switched_top(y):
    pyro.sample("x", dist.Normal(0.0, 1.0))
    wide = pyro.sample("wide", dist.Bernoulli(0.3))
    pyro.sample("y", dist.Uniform(0.0, 1.0 + 29.0 * wide), obs=y)


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (capture_recapture, torch.tensor([0.3, 3.0])),
        (capture_recapture, torch.tensor([0.3, 30.0])),
        (exponential_top, torch.tensor([0.3, 30.0])),
        (latent_floor, torch.tensor(0.3)),
        (switched_top, torch.tensor(20.0)),
        (masked_nan, torch.tensor([0.5, torch.nan, 1.0])),
        (own_masked_distribution, torch.tensor([0.5, torch.nan, 1.0])),
        (soft_labels, torch.tensor([0.5, 0.2, 1.0])),
        (vector_without_plate, torch.zeros(3)),
        (vector_without_plate, torch.zeros(3, 1)),
        (scalar_for_all, torch.tensor(0.0)),
        (moving_observation, torch.tensor(30.0)),
    ],
)
def test_a_legal_program_that_looks_odd_passes_in_silence(model, y):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert check((model, (y,), {}), 0) is not None


def test_a_model_that_fails_is_left_to_the_caller():
    def failing():
        raise ArithmeticError("no")

    assert check((failing, (), {}), 0) is None


def test_a_model_that_always_fails_is_run_no_longer_than_others():
    runs = []

    def failing():
        runs.append(time.sleep(0.05))
        raise ArithmeticError("no")

    assert check((failing, (), {}), 0) is None
    assert len(runs) <= SECONDS / 0.05 + 2


@pytest.mark.parametrize("seed", range(5))
def test_the_support_is_judged_where_the_model_raises_in_most_of_its_space(seed):
    def ordered(y):
        a, b = pyro.sample("a", dist.Normal(0.0, 1.0)), pyro.sample("b", dist.Normal(0.0, 1.0))
        if a < b:
            raise OutsideSupport
        pyro.sample("y", dist.Exponential(1.0), obs=y)

    assert checked(ordered, (torch.tensor(1.0),), {}, seed)[2].dim == 2
    with pytest.raises(ModelError, match="outside the support of Exponential"):
        checked(ordered, (torch.tensor(-1.0),), {}, seed)


def test_random_state_and_parameters_stay_as_they_are():
    def with_parameter(y):
        pyro.sample("m", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 1.0))
        pyro.sample("y", dist.Normal(0.0, 1.0), obs=y)

    torch.manual_seed(1)
    before = torch.get_rng_state()
    check((with_parameter, (torch.tensor(1.0),), {}), 0)
    assert torch.equal(before, torch.get_rng_state()) and "loc" not in pyro.get_param_store()


def test_every_data_set_is_judged():
    with pytest.raises(
        ModelError, match=r"data set 2: observed site 'counts': 1 of its 4 values .* first is -3 at \[3\]"
    ):
        counts = COUNTS.clone()
        counts[2, 3] = -3.0
        ConditionalTarget(outbreak, "counts", (counts,))


def test_one_data_set_taken_for_several():
    def fixed(y):
        mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(mean, 1.0).expand([3]).to_event(1), obs=y)

    with pytest.warns(UserWarning, match=r"'y' has one value for all 3 .*; for one data set write fit\(\[y\]\)"):
        ConditionalTarget(fixed, "y", (torch.zeros(3),))
    with pytest.raises(ValueError, match=r"the model fails on the first data set.* write \[counts\]"):
        ConditionalTarget(outbreak, "counts", (COUNTS[0],))


def test_data_sets_inside_the_support_pass():
    target = ConditionalTarget(outbreak, "counts", (COUNTS,))
    check_data_sets(target.program, target.rows, 0)


def test_data_that_are_repeated_for_the_distribution_are_refused():
    """A column of means for a row of data: 40 × 40 terms, which Pyro's own plates let through."""

    def model(x, y):
        weight = pyro.sample("weight", dist.Normal(0.0, 1.0).expand([2, 1]).to_event(2))
        with pyro.plate("rows", len(y)):
            pyro.sample("y", dist.Normal(x @ weight, 1.0), obs=y)

    with pytest.raises(ModelError, match=r"'y' has data of shape \(40,\).*\(40, 40\).* would count 40 times"):
        PyroTarget(model, (torch.ones(40, 2), torch.zeros(40)))


def test_a_prior_draw_with_an_infinite_concentration_is_not_waited_for():
    """``VonMises(0, inf).sample()`` never returns, and no warning says so."""

    def model():
        far = pyro.sample("far", dist.Normal(0.0, 1e3))
        pyro.sample("angle", dist.VonMises(0.0, far.exp()))
        pyro.sample("y", dist.Normal(far, 1.0), obs=torch.tensor(0.5))

    assert PyroTarget(model).dim == 2
