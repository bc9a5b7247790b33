"""A mistake is named by its argument or site, with the line to type; other errors name the user's own line."""
# ruff: noqa: E501

import statistics
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.checks.validation import checked
from amortized.targets.pyro.failures import in_words, tell
from amortized.targets.pyro.trace import ModelError

Y = torch.linspace(-1, 1, 20)
KNOWN = torch.arange(20) % 3 > 0
TABLE = torch.stack([Y, Y.flip(0)], -1)


def partly_known(y, known):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y, obs_mask=known)


def computed_mask(y):
    partly_known(y, (~y.isnan()).float())


def masked_plate(y, known):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", len(y)), poutine.mask(mask=known):
        pyro.sample("y", dist.Normal(mean, 1.0), obs=y)


def regression(x, y):
    weight = pyro.sample("weight", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(x @ weight, 1.0), obs=y)


def of_dict(data):
    regression(data["x"], data["y"])


def slope(x, y):
    weight = pyro.sample("weight", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(x * weight, 1.0), obs=y)


def two_values_in_a_row(y, shape, known=None):
    mean = pyro.sample("mean", dist.Normal(0.0, 1.0))
    with pyro.plate("rows", 20):
        pyro.sample("y", dist.Normal(mean, 1.0).expand(shape), obs=y, obs_mask=known)


def latent_in_groups(y, shape):
    with pyro.plate("groups", 3):
        level = pyro.sample("level", dist.Normal(0.0, 1.0).expand(shape))
    pyro.sample("y", dist.Normal(level.sum(), 1.0), obs=y)


def average_of_none(y):
    statistics.mean([])
    pyro.sample("y", dist.Normal(0.0, 1.0), obs=y)


CASES: list[tuple[Any, tuple, str]] = [
    (partly_known, (Y, KNOWN.float()), r"^argument 'known' is the obs_mask of site 'y' and holds 0 and 1 as float32, .*: write obs_mask=known.bool\(\)$"),
    (partly_known, (Y, KNOWN.long()), r"argument 'known' is the obs_mask of site 'y' .* as int64, .*known.bool\(\)$"),
    (partly_known, (Y, KNOWN.long().tolist()), r"argument 'known' is the obs_mask of site 'y' .* as int64, "),
    (computed_mask, (Y,), r"^'known' is the obs_mask of site 'y' and .*: write obs_mask=known.bool\(\)$"),
    (masked_plate, (Y, KNOWN.float()), r"^argument 'known' is a mask and holds .*: write mask=known.bool\(\)$"),
    (partly_known, (Y, 0.3 * KNOWN), r"^argument 'known' .* other than 0 and 1, .* for instance obs_mask=known > 0$"),
    (regression, (TABLE.round().long(), Y), r"^argument 'x' holds whole numbers, and the arithmetic in line \d+ of test_failures.py takes floats: write x.float\(\) there$"),
    (of_dict, ({"x": TABLE.round().long(), "y": Y},), r"argument \"data\['x'\]\" holds whole numbers, .*: write data\['x'\].float\(\) there"),
    (slope, (["1.0"] * 20, Y), r"^argument 'x' is a list of numbers as text, .*: write numpy.array\(x\).astype\(float\)$"),
    (two_values_in_a_row, (TABLE, [2]), r"site 'y': .* shape \(2,\) in plate 'rows' of 20 rows; write .to_event\(1\) after it, for 2 values"),
    (two_values_in_a_row, (TABLE, [20, 2]), r"site 'y': .* shape \(20, 2\) in plate 'rows' of 20 rows; write .to_event\(1\)"),
    (two_values_in_a_row, (TABLE, [2], KNOWN), r"site 'y': .* shape \(2,\) in plate 'rows' of 20 rows; write .to_event\(1\)"),
    (two_values_in_a_row, (Y[:7], [7]), r"site 'y': its distribution has 7 rows, and plate 'rows' around it 20; write pyro.plate\('rows', 7\)$"),
    (two_values_in_a_row, (TABLE, [5, 2]), r"site 'y': its distribution has 2 rows, and plate 'rows' around it 20; write pyro.plate\('rows', 2\)$"),
    (latent_in_groups, (Y[0], [2]), r"site 'level': .*; write pyro.plate\('groups', 2\), or .to_event\(1\) after it for 2 values in each row"),
    (latent_in_groups, (Y[0], [3, 2]), r"site 'level': .* shape \(3, 2\) in plate 'groups' of 3 rows; write .to_event\(1\) after it"),
    (average_of_none, (Y[0],), r"raises StatisticsError: .* in line \d+ of test_failures.py, statistics.mean\(\[\]\)"),
]  # fmt: skip


@pytest.mark.parametrize(("model", "args", "message"), CASES)
def test_a_mistake_is_named(model, args, message):
    with pytest.raises(ModelError, match=message):
        checked(model, args, {}, 0)


def test_what_was_meant_is_legal():
    for model, args in (
        (partly_known, (Y, KNOWN)),
        (masked_plate, (Y, KNOWN)),
        (regression, (TABLE, Y)),
        (slope, (Y.round().long(), Y)),
    ):
        assert checked(model, args, {}, 0)[2].dim > 0


@pytest.mark.parametrize(
    "used",
    [
        lambda x, y: y @ x,
        lambda x, y: x @ x.float().T @ x,
        lambda x, y: torch.linalg.cholesky(x.T @ x),
        lambda x, y: x.mean(),
        lambda x, y: x.std(),
        lambda x, y: x.softmax(-1),
        lambda x, y: torch.einsum("ij,i->j", x, y),
        lambda x, y: torch.nn.Linear(2, 1)(x),
    ],
)
@pytest.mark.parametrize("kind", [torch.long, torch.int, torch.bool])
def test_whole_numbers_in_arithmetic_of_floats(used, kind):
    def model(x, y):
        pyro.sample("mean", dist.Normal(used(x, y).sum(), 1.0))

    words = "truth values" if kind == torch.bool else "whole numbers"
    with pytest.raises(ModelError, match=f"^argument 'x' holds {words}, .*: write x.float\\(\\) there$"):
        checked(model, (TABLE.round().to(kind), Y), {}, 0)


def test_whole_numbers_are_not_to_blame_for_doubles():
    def model(x, y):
        pyro.sample("mean", dist.Normal((x.double() @ torch.ones(2)).sum(), 1.0))

    with pytest.raises(ModelError, match="raises RuntimeError: .*; check that line against the shapes"):
        checked(model, (TABLE.round().long(), Y), {}, 0)


def test_a_mask_of_numbers_of_many_data_sets():
    with pytest.raises(ModelError, match="argument 'known' is the obs_mask of site 'y'"):
        ConditionalTarget(partly_known, ["y", "known"], (Y.expand(5, 20), KNOWN.float().expand(5, 20)))


@pytest.mark.parametrize(
    ("y", "known", "message"),
    [
        (Y[:, None], KNOWN, r"site 'y' has data of shape \(20, 1\), .*write obs=y.reshape\(20\)"),
        (torch.full((20,), torch.nan), KNOWN, r"site 'y': 13 of its 20 values are NaN; .* write obs_mask=~y.isnan\(\)"),
        (Y, KNOWN[:, None], r"the mask of observed site 'y' has shape \(20, 1\), .* write obs_mask.reshape\(20\)"),
    ],
)
def test_a_half_has_the_name_of_its_site(y, known, message):
    with pytest.raises(ModelError, match=message):
        checked(partly_known, (y, known), {}, 0)


def multiply(x, w):
    return x @ w


def test_an_error_names_line_and_shapes():
    with (
        pytest.raises(
            ModelError,
            match=r"raises RuntimeError: .* in line \d+ of test_failures.py, return x @ w; .*x \(3, 2\), w \(3,\)",
        ),
        in_words(multiply, (torch.ones(3, 2), torch.ones(3)), {}),
    ):
        multiply(torch.ones(3, 2), torch.ones(3))


def test_an_error_that_names_the_fault_loses_pyros_table():
    with pytest.raises(ModelError) as caught, in_words(multiply, (), {}):
        raise ModelError("site 'x'\nTrace Shapes:\n Param Sites:")
    assert str(caught.value) == "site 'x'"


def test_other_errors_are_the_users_own():
    with pytest.raises(KeyError), in_words(multiply, (), {}):
        raise KeyError("site")


def test_an_exception_without_words_does_not_show_pyros_table():
    table = "\nTrace Shapes:\n Param Sites:\nSample Sites:"
    with pytest.raises(ModelError, match="raises ValueError: no message in line") as caught, in_words(multiply, (), {}):
        raise ValueError(table)
    assert "Shapes" not in str(caught.value)


def test_a_warning_points_at_the_caller():
    with pytest.warns(UserWarning, match="hello") as caught:
        tell("hello")
    assert caught[0].filename == __file__
