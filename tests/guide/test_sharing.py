"""Data sets are divided among processes, and every process has the answers of all in their order."""

import pytest
import torch

from amortized.guide import sharing
from amortized.parallel.group import Group
from amortized.parallel.ranks import Ranks
from tests.known import seeded


class Second(Ranks):
    """The second of two processes, whose first answers for rows 0 and 1."""

    def same(self, value):
        return value

    def gathered(self, part):
        return [[0, 1], part]


def answers(count: int, generator: torch.Generator) -> list[int]:
    return sharing.on_all(torch.arange(count)[:, None], generator, lambda own: own[:, 0].tolist())


def test_every_process_answers_for_its_part_from_noise_of_its_own(monkeypatch: pytest.MonkeyPatch):
    generator = seeded()
    assert answers(5, generator) == [0, 1, 2, 3, 4]
    assert torch.equal(generator.get_state(), seeded().get_state()), "one process draws as ever"
    monkeypatch.setattr(sharing, "current", lambda: Group(Second(1, 2)))
    assert answers(5, generator) == [0, 1, 2, 3, 4]
    assert not torch.equal(generator.get_state(), seeded().get_state())


def test_fewer_data_sets_than_processes_are_not_divided(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sharing, "current", lambda: Group(Second(1, 2)))
    assert answers(1, seeded()) == [0]
