"""One graph for every batch size: right at sizes never seen, with constants folded, refused where it cannot be."""

import time

import pytest
import torch

from amortized.capture.peephole import simplify
from amortized.capture.tape import OutOfTime, Tape
from amortized.capture.template import CannotUnify, Template


def template(function, dim=3, sizes=(5, 9), seconds=60.0):
    deadline = time.monotonic() + seconds
    first, second = (Tape(time.monotonic() + 60).record(function, torch.randn(size, dim)) for size in sizes)
    return Template((first, second), deadline, simplify).build()


def check(function, dim=3):
    graph = template(function, dim)
    for size in (1, 2, 17):
        x = torch.randn(size, dim)
        for got, want in zip(graph(x), function(x), strict=True):
            torch.testing.assert_close(got, want)
            assert got.shape == want.shape and got.dtype == want.dtype
    return graph


def operations(graph):
    return [node.target for node in graph.graph.nodes if node.op == "call_function"]


def test_sizes_follow_the_batch():
    def function(x):
        flat = x.reshape(-1)
        padded = torch.cat([flat, flat.new_zeros(2 * len(x) + 1)])
        return (padded[: 3 * len(x)].reshape(len(x), 3), torch.ones(len(x), 4) * x[:, :1])

    check(function)


def test_what_does_not_depend_on_the_particles_is_computed_once():
    data = torch.randn(3)
    graph = check(lambda x: (x * (data.exp().log1p() + torch.ones(3)),))
    assert len(operations(graph)) == 1


def test_constants_along_the_batch_are_stretched():
    data = torch.randn(3)
    graph = check(lambda x: (x + (torch.ones(len(x), 3) * data).exp(),))
    assert len(operations(graph)) == 2


def test_the_same_call_is_made_once():
    graph = check(lambda x: (x.exp() + x.exp(),))
    assert len(operations(graph)) == 2


def test_a_constant_that_changes_with_the_batch_otherwise_is_computed():
    check(lambda x: (x + torch.arange(len(x))[:, None],))


def test_different_computations_are_refused():
    with pytest.raises(CannotUnify, match="operations at one batch size"):
        template(lambda x: (sum(row for row in x),))
    with pytest.raises(CannotUnify, match="at another"):
        template(lambda x: (x.exp() if len(x) == 5 else x.sin(),))
    with pytest.raises(CannotUnify, match="integers 2 and 3"):
        template(lambda x: (x ** (2 if len(x) == 5 else 3),))


def test_simplifying_stops_in_time():
    with pytest.raises(OutOfTime):
        template(lambda x: (x + 1,), seconds=-1.0)
