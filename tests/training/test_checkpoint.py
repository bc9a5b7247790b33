"""What a checkpoint restores is what was saved."""

from pathlib import Path

import torch
from torch import nn

from amortized.training.checkpoint import Checkpoint


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
