"""Data as users have them become tensors, with the density of the same data as floats; text is refused by name."""

from collections import namedtuple

import numpy as np
import pandas
import pyro
import pyro.distributions as dist
import pytest
import torch

from amortized.targets.conditional.simulation import check_simulation
from amortized.targets.conditional.target import ConditionalTarget
from amortized.targets.pyro.data import as_taken, as_tensors
from amortized.targets.pyro.target import PyroTarget

Pair = namedtuple("Pair", ["one", "two"])
FLOATS = torch.tensor([1.0, 0.0, 1.0])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.array([0.5, 1.5]), torch.tensor([0.5, 1.5])),
        (np.array([0.5], dtype=np.float16), torch.tensor([0.5])),
        (np.array([1, 2], dtype=np.int32), torch.tensor([1, 2])),
        (np.array([1, 2], dtype=np.uint8), torch.tensor([1, 2])),
        (np.array([1.5], dtype=">f8"), torch.tensor([1.5])),
        (np.array([True, False]), torch.tensor([True, False])),
        (np.array(2.5), torch.tensor(2.5)),
        (np.zeros((2, 0)), torch.zeros(2, 0)),
        ([1, 2, 3], torch.tensor([1, 2, 3])),
        ([1, 2.5], torch.tensor([1.0, 2.5])),
        ([True, False], torch.tensor([True, False])),
        ([[1.0, 2.0], [3.0, 4.0]], torch.tensor([[1.0, 2.0], [3.0, 4.0]])),
        ([np.float64(1.0), np.int64(2)], torch.tensor([1.0, 2.0])),
        (pandas.Series([1, 2]), torch.tensor([1, 2])),
        (pandas.Series([1, 2], dtype="Int64"), torch.tensor([1, 2])),
        (pandas.Series([1.0, np.nan]), torch.tensor([1.0, torch.nan])),
        (pandas.DataFrame({"a": [1, 2], "b": [0.5, 1.5]}), torch.tensor([[1.0, 0.5], [2.0, 1.5]])),
        (pandas.DataFrame({"a": [1, 2], "b": [True, False]}), torch.tensor([[1, 1], [2, 0]])),
        (pandas.Series([1.0, 2.0], index=[7, 3]).iloc[::-1], torch.tensor([2.0, 1.0])),
    ],
)
def test_numbers_become_tensors(value, expected):
    found = as_tensors(value, "y")
    assert found.dtype == expected.dtype
    torch.testing.assert_close(found, expected, equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize(
    "value", [1, 2.0, True, None, "gauss", (8, 2), ["a", "b"], [], [1.0, "a"], {"n": 3}, torch.add]
)
def test_settings_stay_as_they_are(value):
    assert as_tensors(value, "y") is value


def test_tensors_are_the_same_tensors():
    one, two = torch.zeros(3, dtype=torch.float64), torch.ones(2)
    sets = [one, two]
    assert as_tensors(one, "y") is one and as_tensors(sets, "y") is sets


def test_what_lies_inside_is_converted_there():
    found = as_tensors({"x": np.ones(2), "more": (np.array([1]), "a"), "pair": Pair([1.0], 2)}, "data")
    assert torch.equal(found["x"], torch.ones(2)) and found["more"][1] == "a"
    assert torch.equal(found["more"][0], torch.tensor([1]))
    assert isinstance(found["pair"], Pair) and torch.equal(found["pair"].one, torch.tensor([1.0]))
    sets = as_tensors([[1.0, 2.0], [3.0]], "y")
    assert isinstance(sets, list) and [len(one) for one in sets] == [2, 1]
    assert [tuple(one.shape) for one in as_tensors([np.zeros((2, 3)), np.zeros((1, 3))], "y")] == [(2, 3), (1, 3)]


def test_floats_have_the_default_dtype_or_the_one_asked_for():
    assert as_tensors(np.zeros(2), "y", torch.float64).dtype == torch.float64
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert as_tensors(np.zeros(2, dtype=np.float32), "y").dtype == torch.float64
        assert as_tensors([1.0], "y").dtype == torch.float64
    finally:
        torch.set_default_dtype(before)


def test_a_later_change_of_the_array_changes_nothing():
    array = np.array([1, 2])
    found = as_tensors(array, "y")
    array[0] = 9
    assert found.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            np.array(["a", "b"]),
            r"argument 'y' holds 'a', which is no number: write pandas.factorize\(y\)\[0\] for labels$",
        ),
        (pandas.Series(["a", "b"]), r"argument 'y' holds 'a', which is no number: write pandas.factorize\(y\)\[0\]"),
        (pandas.Series(["1.5", "2"]), r"argument 'y' holds '1.5', a number as text: write y.astype\(float\)$"),
        (np.array([b"a", b"b"]), r"argument 'y' holds 'a', which is no number: write pandas.factorize\(y\)\[0\]"),
        (np.array(["1.5", "2"]), r"argument 'y' holds '1.5', a number as text: write y.astype\(float\)$"),
        (
            pandas.Series(["1.5", "n/a", "2"]),
            r"argument 'y' holds 'n/a', which is no number: write pandas.to_numeric\(y, errors='coerce'\)",
        ),
        (pandas.Series(["1,5", "2"]), r"'y' holds '1,5', .*: write y.str.replace\(',', '.'\).astype\(float\)$"),
        (pandas.DataFrame({"a": [1.0], "b": ["2"]}), r"\"y\['b'\]\" holds '2', a .*: write y\['b'\].astype\(float\)$"),
        (np.array([1, None], dtype=object), r"argument 'y' holds None, which is no number: write y.dropna\(\)"),
        (pandas.DataFrame({"a": [1.0], "name": ["x"]}), r"argument \"y\['name'\]\" holds 'x', which is no number"),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), r"argument 'y' holds datetime64\[D\] values"),
        (np.ma.masked_less([1.0, -1.0], 0.0), r"argument 'y' is a masked array: write y.filled\(0.0\)"),
        ({"x": np.array(["a"])}, r"argument \"y\['x'\]\" holds 'a', which is no number"),
    ],
)
def test_what_is_no_number_is_refused_by_name(value, message):
    with pytest.raises(ValueError, match=message):
        as_tensors(value, "y")


def test_digits_that_matter_are_not_rounded_away():
    """Julian dates a few hours apart: in float32 they lie a quarter of a day apart."""
    days = 2_459_000 + np.array([0.0, 0.41, 0.93, 1.15])
    with pytest.raises(ValueError, match=r"argument 'days' differ by 0.45 and would be rounded by 0.1: write days - "):
        as_tensors(days, "days")
    assert as_tensors(days - days.min(), "days").dtype == torch.float32
    assert as_tensors(days, "days", torch.float64)[1] == days[1]
    assert as_tensors(np.full(3, 2_459_000.41), "constant").dtype == torch.float32


def coins(y, known=None):
    p = pyro.sample("p", dist.Beta(1.0, 1.0))
    with pyro.plate("n", 3):
        pyro.sample("y", dist.Bernoulli(p), obs=y, obs_mask=known)


def normal(y):
    p = pyro.sample("p", dist.Normal(0.0, 1.0))
    with pyro.plate("n", 3):
        pyro.sample("y", dist.Normal(p, 1.0), obs=y)


def mixture(y):
    p = pyro.sample("p", dist.Beta(1.0, 1.0))
    parts = dist.Bernoulli(torch.stack([p, 1 - p / 2]).expand(3, 2))
    with pyro.plate("n", 3):
        pyro.sample("y", dist.MixtureSameFamily(dist.Categorical(torch.ones(3, 2)), parts), obs=y)


@pytest.mark.parametrize("y", [np.array([1, 0, 1]), [1, 0, 1], np.array([True, False, True]), FLOATS.long()], ids=type)
@pytest.mark.parametrize("model", [coins, normal, mixture])
def test_the_density_is_that_of_floats(model, y):
    x = torch.tensor([[0.3], [-1.0]])
    torch.testing.assert_close(PyroTarget(model, (y,)).log_prob(x), PyroTarget(model, (FLOATS,)).log_prob(x))


@pytest.mark.parametrize("y", [FLOATS.long(), FLOATS.bool()])
def test_data_known_in_part(y):
    known, x = torch.tensor([True, False, True]), torch.tensor([[0.3]])
    want = PyroTarget(coins, (FLOATS, known)).log_prob(x)
    torch.testing.assert_close(PyroTarget(coins, (y, known)).log_prob(x), want)


def test_a_number_of_python():
    def model(y):
        pyro.sample("y", dist.Binomial(10, pyro.sample("p", dist.Beta(1.0, 1.0))), obs=y)

    x = torch.tensor([[0.3]])
    want = PyroTarget(model, (torch.tensor(3.0),)).log_prob(x)
    torch.testing.assert_close(PyroTarget(lambda: model(3)).log_prob(x), want)


@pytest.mark.parametrize("amortize", ["y", "site"])
def test_data_sets_of_whole_numbers(amortize):
    def model(y):
        p = pyro.sample("p", dist.Beta(1.0, 1.0))
        pyro.sample("site", dist.Bernoulli(p).expand([3]).to_event(1), obs=y)

    rows = FLOATS if amortize == "site" else torch.stack([FLOATS, 0 * FLOATS])
    got, want = (ConditionalTarget(model, amortize, (y,)) for y in (rows.long(), rows))
    check_simulation(got, got.rows)
    x = torch.tensor([[0.3]])
    torch.testing.assert_close(got.at(got.rows[:1]).log_prob(x), want.at(want.rows[:1]).log_prob(x))


def test_what_a_density_takes_stays_as_it_is():
    counts, labels = torch.tensor([1, 0]), torch.tensor([True, False])
    assert as_taken(counts, dist.Poisson(1.0)) is counts and as_taken(FLOATS, dist.Bernoulli(0.5)) is FLOATS
    assert as_taken(labels, dist.Categorical(torch.ones(2))) is labels
    assert as_taken(2.5, dist.Normal(0.0, 1.0)) == 2.5


def test_wider_parameters_keep_their_digits():
    fn, y = dist.Bernoulli(logits=torch.tensor([0.1, 0.2, 0.3], dtype=torch.float64)), FLOATS.long()
    torch.testing.assert_close(fn.log_prob(as_taken(y, fn)), fn.log_prob(FLOATS.double()), rtol=0, atol=0)
