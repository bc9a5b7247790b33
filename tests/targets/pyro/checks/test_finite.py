"""NaN in an argument is blamed on it where the density is finite without, and there alone."""

import warnings

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.checks.validation import check, checked
from amortized.targets.pyro.trace import ModelError

Y = torch.linspace(-1, 1, 20)
TABLE = torch.stack([Y, Y.flip(0)], -1)


def holed(value: torch.Tensor, *places, hole: float = torch.nan) -> torch.Tensor:
    value = value.clone()
    for place in places:
        value[place] = hole
    return value


def slope(x, y, scale=1.0):
    weight = pyro.sample("weight", dist.Normal(0.0, scale))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(x.reshape(len(y), -1).sum(-1) * weight, 1.0), obs=y)


def of_dict(data):
    slope(data["x"], data["y"])


def process(x, y):
    scale = pyro.sample("scale", dist.HalfNormal(1.0))
    kernel = scale * (-(x[:, None] - x).square()).exp() + torch.eye(len(x))
    pyro.sample("y", dist.MultivariateNormal(torch.zeros(len(x)), kernel), obs=y)


def masked(x, y):
    weight = pyro.sample("weight", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", len(y)), poutine.mask(mask=x.isfinite()):
        pyro.sample("y", dist.Normal(x.nan_to_num() * weight, 1.0), obs=y)


def bounded(top, y):
    pyro.sample("mean", dist.Normal(0.0, 1.0))
    pyro.sample("y", dist.Normal(y.clamp(max=top), 1.0).to_event(1), obs=y)


@pytest.mark.parametrize(
    ("model", "args", "message"),
    [
        (
            slope,
            (holed(Y, 4), Y),
            r"^argument 'x' holds NaN at 1 of its 20 values, the first at \[4\], .* keep = x.isf",
        ),
        (
            slope,
            (holed(TABLE, (4, 1), (6, 0)), Y),
            r"'x' holds NaN at 2 of its 40 .* \[4, 1\], .*isfinite\(\).all\(1\)$",
        ),
        (
            slope,
            (holed(TABLE[..., None], (4, 1, 0)), Y),
            r"first at \[4, 1, 0\], .*isfinite\(\).flatten\(1\).all\(1\)$",
        ),
        (slope, (holed(Y, 4, hole=torch.inf), Y), r"argument 'x' holds inf at 1 of its 20"),
        (slope, (Y, holed(Y, 4, hole=torch.inf)), r"argument 'y' holds inf at 1 of its 20"),
        (slope, (holed(holed(Y, 4), 5, hole=-torch.inf), Y), r"argument 'x' holds NaN and inf at 2 of its 20"),
        (slope, (holed(Y, 4), holed(Y, 5, hole=torch.inf)), r"argument 'x' holds NaN at 1 of its 20"),
        (slope, (Y, Y, torch.tensor(torch.nan)), r"^argument 'scale' is NaN, and the density .*: pass a number$"),
        (of_dict, ({"x": holed(Y, 4), "y": Y},), r"argument \"data\['x'\]\" holds NaN"),
        (process, (holed(Y, 4), Y), r"argument 'x' holds NaN at 1 of its 20"),
    ],
)
def test_the_argument_is_named(model, args, message):
    with warnings.catch_warnings(), pytest.raises(ModelError, match=message):
        warnings.simplefilter("error")
        checked(model, args, {}, 0)


def test_data_that_are_nan_are_named_by_their_site():
    with pytest.raises(ModelError, match="observed site 'y': 1 of its 20 values are NaN"):
        checked(slope, (Y, holed(Y, 3)), {}, 0)


@pytest.mark.parametrize(("model", "first"), [(masked, holed(Y, 4)), (bounded, torch.tensor(torch.inf))])
def test_nan_behind_a_mask_and_inf_as_a_bound_are_legal(model, first):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert check((model, (first, Y), {}), 0) is not None


def test_an_argument_that_is_not_to_blame_is_not_blamed():
    def unused(x, y):
        pyro.sample("mean", dist.Normal(0.0, 1.0))
        pyro.factor("never", torch.tensor(-torch.inf))
        pyro.sample("y", dist.Normal(0.0, 1.0).expand([20]).to_event(1), obs=y)

    assert check((unused, (holed(Y, 4), Y), {}), 0) is not None


def test_an_argument_beside_many_data_sets():
    with pytest.raises(ModelError, match="argument 'x' holds NaN at 1 of its 20"):
        ConditionalTarget(slope, "y", (holed(Y, 4), Y.expand(5, 20)))
