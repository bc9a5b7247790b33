"""What a checkpoint restores is what was saved."""

from pathlib import Path

import pytest
import torch
from torch import nn

from amortized.parallel.ranks import RankLost, Ranks
from amortized.training.checkpoint import Checkpoint
from amortized.training.loop import Schedule, optimise


def stage() -> tuple[nn.ModuleDict, torch.optim.Optimizer]:
    modules = nn.ModuleDict({"policy": nn.Linear(3, 1)})
    return modules, torch.optim.Adam(modules.parameters(), lr=0.1)


def step(modules: nn.ModuleDict, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    modules["policy"](torch.ones(1, 3)).square().sum().backward()
    optimizer.step()


def test_a_restored_stage_goes_on_as_the_saved_one(tmp_path: Path):
    saved, other = stage(), stage()
    step(*saved)
    checkpoint = Checkpoint(tmp_path / "stage.pt")
    checkpoint.save(7, 20, *saved)
    assert checkpoint.restore(*other) == (7, 20)
    step(*saved)
    step(*other)
    for mine, theirs in zip(saved[0].parameters(), other[0].parameters(), strict=True):
        assert torch.equal(mine, theirs)
    assert [file.name for file in tmp_path.iterdir()] == ["stage.pt"]


class LostAfterEight(Ranks):
    """One process, to which the ninth reduction fails as it does when another process is killed."""

    calls = 0

    def average_gradients(self, parameters):
        type(self).calls += 1
        if self.calls == 9:
            raise RankLost("lost")


def run(schedule: Schedule) -> list[torch.Tensor]:
    torch.manual_seed(0)
    parts = nn.ModuleDict({"policy": nn.Linear(3, 1)})
    optimise(parts, lambda _: parts["policy"](torch.ones(1, 3)).square().sum(), schedule)
    return list(parts.parameters())


def test_one_process_goes_on_after_another_was_lost(tmp_path: Path):
    path = tmp_path / "stage.pt"
    with pytest.raises(RankLost, match="resume=True"):
        run(Schedule(20, ranks=LostAfterEight(), checkpoint=Checkpoint(path, every=4)))
    resumed = run(Schedule(20, checkpoint=Checkpoint(path, resume=True)))
    for mine, theirs in zip(resumed, run(Schedule(20)), strict=True):
        assert torch.equal(mine, theirs)
