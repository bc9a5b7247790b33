"""The ways of batching agree where they are right; a failing particle is isolated."""

import pytest
import torch

from amortized.targets.pyro.batching import Loop, Plate, Vmap, isolated
from amortized.targets.pyro.program import Program
from amortized.targets.pyro.structure import discover
from tests.targets.programs import PROGRAMS


def program(name):
    example = PROGRAMS[name]
    return Program(
        example.model, example.args, example.kwargs, discover(example.model, example.args, example.kwargs, 0)
    )


@pytest.mark.parametrize("name", ["eight_schools_centred", "nested_plates", "positive", "dependent_support"])
def test_vmap_plate_and_loop_agree(name):
    model = program(name)
    x = torch.randn(5, model.structure.dim)
    want = Loop(model).log_prob_and_score(x)
    for way in (Vmap(model), Vmap(model, own_memory=True), Plate(model)):
        for got, wanted in zip(way.log_prob_and_score(x), want, strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(way.log_prob(x), want[0], rtol=1e-5, atol=1e-5)
    pieces = Vmap(model).log_prob_and_score_by_pieces(x)
    torch.testing.assert_close(pieces, want, rtol=1e-5, atol=1e-5)


def test_maps_of_vmap_and_loop_agree():
    model = program("deterministic")
    x = torch.randn(3, 2)
    one, other = Vmap(model).map(model.sites, x), Loop(model).map(model.sites, x)
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name])


def test_only_the_particle_at_fault_fails():
    sizes = []

    def evaluate(x):
        sizes.append(len(x))
        if (x == 3).any():
            raise torch.linalg.LinAlgError("three")
        return x[:, 0], x

    x = torch.arange(8.0)[:, None]
    value, rows = isolated(evaluate, x, lambda error: (torch.full((1,), torch.nan), torch.zeros(1, 1)))
    assert value.isnan().tolist() == [False] * 3 + [True] + [False] * 4
    assert rows[:, 0].tolist() == [0, 1, 2, 0, 4, 5, 6, 7]
    assert sizes == [8, 4, 2, 2, 1, 1, 4]


def test_running_out_of_memory_is_no_bad_particle():
    def evaluate(x):
        raise torch.OutOfMemoryError("too large")

    with pytest.raises(torch.OutOfMemoryError):
        isolated(evaluate, torch.zeros(2, 1), lambda error: torch.zeros(1))
