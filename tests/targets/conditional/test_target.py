"""A family's densities are those of its model at each data set alone; names and data that make none are refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import nn

from amortized.targets.conditional.contexts import LocalTo
from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.checks.loop_values import far_draws
from amortized.targets.pyro.target import PyroTarget
from amortized.targets.pyro.trace import ModelError
from tests.known import seeded


def conjugate(y):
    mean = pyro.sample("mean", dist.Normal(y.new_tensor(0.0), 1.0))
    pyro.deterministic("twice", 2 * mean)
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mean, 0.5), obs=y)


def regression(x, y):
    weights = pyro.sample("weights", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
    noise = pyro.sample("noise", dist.HalfNormal(x.new_tensor(1.0)))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(x @ weights, noise), obs=y)


def counts(rate, *, y):
    level = pyro.sample("level", dist.Gamma(torch.tensor(2.0), rate))
    pyro.sample("y", dist.Poisson(level).expand(y.shape).to_event(1), obs=y)


def mixture(y):
    places = pyro.sample("places", dist.Normal(y.new_tensor([-1.0, 1.0]), 1.0).to_event(1))
    with pyro.plate("data", len(y)):
        which = pyro.sample("which", dist.Categorical(y.new_tensor([0.3, 0.7])))
        pyro.sample("y", dist.Normal(places[which], 0.5), obs=y)


def two_levels(y):
    mean = pyro.sample("mean", dist.Normal(y.new_tensor(0.0), 1.0))
    with pyro.plate("pair", 2):
        shift = pyro.sample("shift", dist.Normal(y.new_zeros(2), 1.0))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mean + shift[0] - shift[1] ** 2, 0.5).expand([2]).to_event(1), obs=y)


def images(x):
    with pyro.plate("images", len(x)):
        z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
        scale = pyro.sample("scale", dist.LogNormal(x.new_tensor(0.0), 0.5))
        pyro.sample("x", dist.Normal(torch.cat([z, z[:, :1] * z[:, 1:]], 1), scale[:, None]).to_event(1), obs=x)


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 3)

    def forward(self, x):
        z = pyro.sample("z", dist.Normal(x.new_zeros(2), 1.0).to_event(1))
        weight, bias = self.layer.weight.to(x), self.layer.bias.to(x)
        pyro.sample("x", dist.Normal(torch.tanh(z @ weight.mT + bias), 0.3).to_event(1), obs=x)


@dataclass(frozen=True)
class Case:
    """A model, what varies, arguments with the data sets, and the arguments of one of them."""

    model: Callable
    amortize: Any
    fit: tuple
    one: Callable[[int], tuple]
    kwargs: dict = field(default_factory=dict)
    one_kwargs: Callable[[int], dict] = lambda m: {}
    rows: Callable[[], torch.Tensor] | None = None


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=seeded(5), dtype=torch.get_default_dtype())


def cases() -> dict[str, Case]:
    y, x, table, picture = noise(3, 4), noise(3, 4, 2), noise(3, 3), noise(3, 3)
    integers = torch.tensor([[0, 3, 1], [2, 2, 7], [11, 4, 0]])
    sets = [noise(2, 2), noise(5, 2) + 1, noise(1, 2)]
    ragged_x, ragged_y = [noise(n, 2) for n in (2, 5, 1)], [noise(n) + n for n in (2, 5, 1)]
    decoder = Decoder()

    def number(m: int) -> dict:
        return {"y": integers[m]}

    rate, rates = torch.tensor(0.5), torch.tensor([0.5, 1.0, 2.0])
    return {
        "one argument": Case(conjugate, "y", (y,), lambda m: (y[m],)),
        "two arguments": Case(regression, ("x", "y"), (x, y), lambda m: (x[m], y[m])),
        "the other order": Case(regression, ("y", "x"), (x, y), lambda m: (x[m], y[m])),
        "counts in a keyword": Case(counts, "y", (rate,), lambda m: (rate,), {"y": integers}, number),
        "counts and a number": Case(counts, ("rate", "y"), (rates,), lambda m: (rates[m],), {"y": integers}, number),
        "a site": Case(conjugate_site, "obs", (y[0],), lambda m: (y[m],), rows=lambda: y),
        "a module": Case(decoder, "x", (table,), lambda m: (table[m],)),
        "discrete latents": Case(mixture, "y", (y,), lambda m: (y[m],)),
        "sets": Case(two_levels, "y", (sets,), lambda m: (sets[m],)),
        "sets of pairs": Case(regression, ("x", "y"), (ragged_x, ragged_y), lambda m: (ragged_x[m], ragged_y[m])),
        "rows of a plate": Case(images, LocalTo("images"), (picture,), lambda m: (picture[m : m + 1],)),
    }


def conjugate_site(y):
    mean = pyro.sample("mean", dist.Normal(y.new_tensor(0.0), 1.0))
    pyro.sample("obs", dist.Normal(mean, 0.5).expand(y.shape).to_event(1), obs=y)


NAMES = list(cases())


def check(name: str, tolerance: float) -> None:
    """Density, gradient, sites and pointwise likelihoods of row i are those of data set ``i mod M`` alone."""
    case = cases()[name]
    family = ConditionalTarget(case.model, case.amortize, case.fit, case.kwargs)
    rows = family.rows if case.rows is None else case.rows()
    given = family.at(rows)
    x = 0.7 * torch.randn(6, family.dim, generator=seeded(1), dtype=family.dtype)
    value, score = given.log_prob_and_score(x)
    torch.testing.assert_close(given.log_prob(x), value, rtol=tolerance, atol=tolerance)
    sites, (values, log_dets) = given.constrain(x), given.unpack(x)
    assert given.calls == 12 and given.contexts == 3 and family.dtype == torch.get_default_dtype()
    assert list(values) == list(log_dets) == list(family.latents) and "_context" not in sites
    for m in range(3):
        alone = PyroTarget(case.model, case.one(m), case.one_kwargs(m))
        expected, slope = alone.log_prob_and_score(x[m::3])
        torch.testing.assert_close(value[m::3], expected, rtol=tolerance, atol=tolerance)
        torch.testing.assert_close(score[m::3], slope, rtol=10 * tolerance, atol=10 * tolerance)
        for site, drawn in alone.constrain(x[m::3]).items():
            torch.testing.assert_close(sites[site][m::3], drawn, rtol=tolerance, atol=tolerance)
        for site, likelihood in alone.pointwise_log_likelihood(x[m::3]).items():
            found = given.pointwise_log_likelihood(x)[site][m::3]
            total = [each.reshape(2, -1).nansum(1) for each in (found, likelihood)]
            torch.testing.assert_close(*total, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_each_data_set_has_its_own_density(name):
    check(name, 2e-5)


@pytest.mark.parametrize("name", NAMES)
def test_each_data_set_has_its_own_density_in_double_precision(name, in_double_precision):
    check(name, 1e-9)


def test_missing_rows_of_a_set_say_nothing(in_double_precision):
    """A set of one row has the density of that row, whatever the longest set holds."""
    y = torch.tensor([[0.5, -0.5]])
    values = []
    for longest in (noise(5, 2), 100 * noise(5, 2)):
        family = ConditionalTarget(two_levels, "y", ([y, longest],))
        values.append(family.at(family.rows[:1]).log_prob(torch.zeros(1, family.dim)))
    torch.testing.assert_close(*values)


def test_contexts_far_from_the_first_keep_their_digits():
    """In single precision the data enter as differences from the first data set: 1e3 apart, to 1e-5 of the density."""
    y = torch.stack([torch.zeros(4), 1e3 + torch.arange(4.0)])
    family = ConditionalTarget(conjugate, "y", (y,))
    x = torch.tensor([[0.0], [1e3]])
    expected = [PyroTarget(conjugate, (y[m],)).log_prob(x[m : m + 1])[0] for m in range(2)]
    torch.testing.assert_close(family.at(y).log_prob(x), torch.stack(expected), rtol=1e-5, atol=1e-5)


def test_coordinates_need_no_gradient_of_the_data():
    family = ConditionalTarget(conjugate, "y", (noise(3, 4),))
    assert family.dim == 1 and family.contexts.size == 4 and list(family.latents) == ["mean"]
    assert not family.at(family.rows).log_prob_and_score(torch.zeros(3, 1))[1].requires_grad
    before = family.calls
    family.at(family.rows, torch.arange(3)).log_prob(torch.zeros(6, 1))
    assert family.calls == before + 6


def summed(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    pyro.sample("total", dist.Normal(mean, 1.0), obs=y.sum())


def partly(x, y):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(mean, 1.0).expand([3]).to_event(1), obs=y)
    pyro.sample("total", dist.Normal(mean, 1.0), obs=y.sum() + x)


def turned(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(mean, torch.arange(1.0, 7.0).reshape(3, 2)).to_event(2), obs=y.mT)


def unplated(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(mean, 1.0).expand([len(y)]).to_event(1), obs=y)


def effects(y):
    with pyro.plate("data", len(y)):
        effect = pyro.sample("effect", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(effect, 1.0), obs=y)


def shared(y):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y)


def elsewhere(y):
    with pyro.plate("groups", 3):
        group = pyro.sample("group", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(group.sum(), 1.0), obs=y)


def unknown(y):
    pyro.sample("y", dist.Normal(torch.zeros(3), 1.0).to_event(1), obs=y)


@pytest.mark.parametrize(
    ("model", "amortize", "args", "message"),
    [
        (summed, "y", (noise(2, 3),), r"amortize=\('y',\): no site observes any of these as it is.*amortize='site'"),
        (partly, ("x", "y"), (noise(2), noise(2, 3)), r"observed site 'total' is computed from \('x', 'y'\)"),
        (turned, "y", (noise(2, 2, 3),), r"no site observes any of these as it is"),
        (unplated, "y", ([noise(2), noise(3)],), r"observed site 'y' is in no plate over the 3 rows of a set"),
        (effects, "y", ([noise(2), noise(3)],), r"latent site 'effect' has one value for each row of a set"),
        (shared, LocalTo("data"), (noise(3),), r"latent site 'mean' is not local to that plate, it is in no plate"),
        (elsewhere, LocalTo("data"), (noise(4),), r"latent site 'group' is not local .* its plates are \['groups'\]"),
        (shared, LocalTo("data"), (3,), r"LocalTo\('data'\): no argument of the model is a tensor with rows"),
        (unknown, "y", (noise(2, 3),), r"no continuous latent site"),
        (shared, "z", (noise(3),), r"amortize='z' is neither an argument of the model \['y'\] nor an observed site"),
        (
            shared,
            "mean",
            (noise(3),),
            r"amortize='mean' is neither .* \['y'\] nor an observed site \['y'\]",
        ),
    ],
)
def test_a_model_that_is_no_family_is_refused_by_name(model, amortize, args, message):
    with pytest.raises(ModelError, match=message):
        ConditionalTarget(model, amortize, args)


@pytest.mark.parametrize(
    ("amortize", "args", "message"),
    [
        ("y", (torch.tensor(1.0),), r"argument 'y' is a tensor of shape \(\): .*write \[y\]"),
        ("y", (torch.ones(0, 3),), r"argument 'y' is a tensor of shape \(0, 3\)"),
        ("y", (2.0,), r"argument 'y' is a float: .* write \[y\] for one number"),
        ("y", (["a", "b"],), r"argument 'y' is a list"),
        ("y", (torch.tensor([[1.0, torch.nan], [1.0, 2.0]]),), r"'y': 1 of its 4 values are NaN or infinite"),
        ((), (torch.ones(2, 3),), r"amortize=\(\) names nothing: write amortize='y'"),
    ],
)
def test_data_sets_that_are_none_are_refused_by_name(amortize, args, message):
    with pytest.raises(ValueError, match=message):
        ConditionalTarget(shared, amortize, args)


@pytest.mark.parametrize("x", [noise(2, 4, 2), [noise(4, 2), noise(4, 2)]])
def test_named_arguments_must_hold_as_many_data_sets(x):
    y = [noise(4), noise(4), noise(4)]
    with pytest.raises(ValueError, match=r"\('x', 'y'\) hold \[2, 3\] data sets"):
        ConditionalTarget(regression, ("x", "y"), (x, y))
    with pytest.raises(ValueError, match=r"\('x', 'y'\) hold \[2, 3\] data sets"):
        ConditionalTarget(regression, ("x", "y"), (x, [noise(2), noise(3), noise(4)]))


def test_a_model_that_has_changed_since_is_told():
    settings = {"scale": 1.0}

    def model(y):
        mean = pyro.sample("mean", dist.Normal(0.0, settings["scale"]))
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y)

    given = ConditionalTarget(model, "y", (torch.tensor([0.0, 2.0]),)).at(torch.tensor([[1.0]]))
    assert given.difference_from_model() is None
    settings["scale"] = 2.0
    assert "the log density at one point was" in (given.difference_from_model() or "")


def test_coordinates_hold_rows_as_they_are_also_far_out():
    """Rows, missing ones among them, come back bit for bit; points ten times as far out are still rows."""
    family = ConditionalTarget(two_levels, "y", ([noise(2, 2), 1e9 + noise(5, 2), noise(1, 2)],), capture_seconds=0.0)
    places = family.program.coordinates(family.rows)
    assert torch.equal(family.program.row(places).nan_to_num(7.0), family.rows.nan_to_num(7.0))
    _, far = far_draws(places)
    assert torch.equal(family.program.row(far).nan_to_num(7.0), far[:, :-1].nan_to_num(7.0))
    searched = torch.zeros(family.program.size)
    assert torch.equal(family.program.row(searched), family.program.first)
