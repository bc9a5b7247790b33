"""Records, containers and tensors come back as they were, in memory too; words of another type are refused."""

from dataclasses import dataclass
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from amortized.storage.tree import Malformed, packed, unpacked


class Pair(NamedTuple):
    x: Tensor
    size: int


@dataclass(frozen=True)
class Other:
    message: str


@dataclass(frozen=True)
class Record:
    pair: Pair
    found: Other | float | str | None
    steps: list[tuple[int, Other]]
    names: dict[str, float]


def there_and_back(value, kind):
    tensors = {}
    words = packed(value, "it", tensors)
    return unpacked(words, tensors, kind), tensors


@pytest.mark.parametrize("found", [Other("here"), 0.5, "not looked at", None])
def test_a_record_comes_back_with_the_records_in_it(found):
    record = Record(Pair(torch.ones(2), 3), found, [(1, Other("a")), (2, Other("b"))], {"x": 1.0, "y": 2})
    again, tensors = there_and_back(record, Record)
    assert list(tensors) == ["it.pair.x"]
    assert (again.pair.size, again.found, again.steps, again.names) == (3, found, record.steps, record.names)
    assert type(again.pair) is Pair and torch.equal(again.pair.x, torch.ones(2))


def test_a_tensor_that_comes_twice_is_kept_once():
    x = torch.ones(3)
    (one, two), tensors = there_and_back([x, Pair(x, 1)], list[Tensor | Pair])
    assert len(tensors) == 1 and one is two.x


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("text", float),
        (1.5, int),
        (None, str),
        ({"tensor": "it"}, float),
        ({"list": [1]}, tuple[int, ...]),
        ({"list": ["a"]}, list[int]),
        ({"record": "Pair", "fields": {"message": "a"}}, Other),
        ({"record": "Other", "fields": {"message": "a", "more": 1}}, Other),
        ({"record": "Other", "fields": {"message": 1}}, Other),
        ({"record": "Other", "fields": {"message": "a"}}, float | str),
        ({"record": "os.system", "fields": {"command": "true"}}, Other),
        ({"record": "Other", "fields": {"message": "a"}}, dict),
        ({"tuple": [1]}, tuple[int, int]),
    ],
)
def test_words_of_another_type_are_refused(words, kind):
    with pytest.raises(Malformed):
        unpacked(words, {"it": torch.ones(1)}, kind)


def test_what_cannot_be_kept_is_named():
    with pytest.raises(TypeError, match="it.steps.1 is a object"):
        packed(Record(Pair(torch.ones(1), 1), None, [1, object()], {}), "it", {})  # pyright: ignore
