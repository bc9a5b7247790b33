"""Two processes that average gradients train as one process does at twice the batch."""

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from amortized.parallel.group import current, together
from amortized.parallel.ranks import RankLost, Ranks
from amortized.training.loop import Schedule, optimise
from tests.parallel.processes import on_two

X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def trained(rows: torch.Tensor, ranks: Ranks, seed: int) -> list[torch.Tensor]:
    torch.manual_seed(seed)
    parts = nn.ModuleDict({"policy": nn.Linear(3, 1, dtype=torch.float64)})
    # each rank would stop at a step of its own, and starts from weights of its own: rank 0 decides both
    last = 5 + 4 * ranks.rank
    stop = [lambda record: record.number >= last]
    optimise(parts, lambda _: (parts["policy"](rows) - 1).square().mean(), Schedule(20, callbacks=stop, ranks=ranks))
    return [weight.detach() for weight in parts.parameters()]


def train_and_talk(folder: Path) -> None:
    """All that two ranks say to each other, in one pair of processes."""
    with together() as group:
        ranks = group.ranks
        own = ranks.shard(8)
        torch.save(trained(X[own.start : own.stop], ranks, seed=ranks.rank), folder / f"{ranks.rank}")
        assert ranks.gathered(f"rank {ranks.rank}") == ["rank 0", "rank 1"]
        assert ranks.means([1.0 + ranks.rank, 4.0 * ranks.rank]) == [1.5, 2.0]
        ranks.check_same("alike", "nothing")
        with pytest.raises(ValueError, match="process 1 of 2 has other data"):
            ranks.check_same(f"rank {ranks.rank}", "other data")
        columns = torch.arange(6.0).view(2, 3).T + ranks.rank
        ranks.copy_first([columns])
        assert torch.equal(columns, torch.arange(6.0).view(2, 3).T)
    assert current().ranks.size == 1 and not torch.distributed.is_initialized()
    (folder / f"talked {ranks.rank}").touch()


def lose_one(folder: Path) -> None:
    with pytest.raises(RankLost, match="start the same command again"), together() as group:
        if group.ranks.rank == 1:
            os._exit(0)
        group.ranks.same(1.0)
    (folder / "told").touch()


def test_two_ranks_train_as_one_at_twice_the_batch(tmp_path: Path):
    assert on_two(train_and_talk, tmp_path) == [0, 0]
    alone = trained(X, Ranks(), seed=0)
    for rank in range(2):
        assert (tmp_path / f"talked {rank}").exists()
        together = torch.load(tmp_path / str(rank), weights_only=True)
        torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)


def test_a_lost_rank_is_told(tmp_path: Path):
    assert on_two(lose_one, tmp_path) == [0, 0]
    assert (tmp_path / "told").exists()


def test_shards_partition():
    assert [i for rank in range(3) for i in Ranks(rank, 3).shard(10)] == list(range(10))


def test_every_rank_has_a_seed_of_its_own_and_the_first_that_of_the_run():
    seeds = [Ranks(rank, 4).seed(5, again) for rank in range(4) for again in (0, 1)]
    assert seeds[0] == 5 and len(set(seeds)) == 8
