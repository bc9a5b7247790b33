"""Two processes that average gradients train as one process does at twice the batch."""

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import nn

from amortized.parallel.ranks import RankLost, Ranks
from amortized.training.loop import Schedule, optimise

X = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def trained(rows: torch.Tensor, ranks: Ranks, seed: int) -> list[torch.Tensor]:
    torch.manual_seed(seed)
    parts = nn.ModuleDict({"policy": nn.Linear(3, 1, dtype=torch.float64)})
    # each rank would stop at a step of its own, and starts from weights of its own: rank 0 decides both
    last = 5 + 4 * ranks.rank
    stop = [lambda record: record.number >= last]
    optimise(parts, lambda _: (parts["policy"](rows) - 1).square().mean(), Schedule(20, callbacks=stop, ranks=ranks))
    return [weight.detach() for weight in parts.parameters()]


def train_one_of_two(rank: int, folder: str) -> None:
    ranks = Ranks(rank, 2)
    torch.save(trained(X[list(ranks.shard(8))], ranks, seed=rank), f"{folder}/{rank}")


def lose_one(rank: int, folder: str) -> None:
    if rank == 1:
        os._exit(0)
    with pytest.raises(RankLost, match="start the same command again"):
        Ranks(rank, 2).same(1.0)
    Path(folder, "told").touch()


def joined(rank: int, work: Callable[[int, str], None], folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", timedelta(seconds=20), 2, rank)
    work(rank, folder)
    dist.destroy_process_group()


def test_two_ranks_train_as_one_at_twice_the_batch(tmp_path: Path):
    multiprocessing.spawn(joined, (train_one_of_two, str(tmp_path)), nprocs=2)
    alone = trained(X, Ranks(), seed=0)
    for rank in range(2):
        together = torch.load(tmp_path / str(rank), weights_only=True)
        torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-12)


def test_a_lost_rank_is_told(tmp_path: Path):
    multiprocessing.spawn(joined, (lose_one, str(tmp_path)), nprocs=2)
    assert (tmp_path / "told").exists()


def test_shards_partition():
    assert sorted(i for rank in range(3) for i in Ranks(rank, 3).shard(10)) == list(range(10))
