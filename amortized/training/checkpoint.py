"""The file from which a stopped stage of training goes on, on any number of processes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from amortized.parallel.ranks import RankLost


@dataclass(frozen=True)
class Checkpoint:
    """Weights, averages, optimiser and step in one file; it appears whole or not at all, and holds no code.

    Args:
        path: the file.
        every: steps between two writings.
        resume: whether the stage goes on from the file.
    """

    path: Path
    every: int = 100
    resume: bool = False

    def save(self, step: int, planned: int, modules: nn.ModuleDict, optimizer: torch.optim.Optimizer) -> None:
        """Write the state after ``step`` of ``planned`` steps."""
        state = {"step": step, "planned": planned, "modules": modules.state_dict(), "optimizer": optimizer.state_dict()}
        part = self.path.with_name(self.path.name + ".part")
        torch.save(state, part)
        os.replace(part, self.path)

    def restore(self, modules: nn.ModuleDict, optimizer: torch.optim.Optimizer) -> tuple[int, int]:
        """Load in place what ``save`` wrote. Returns the step and the planned steps.

        Raises:
            FileNotFoundError: nothing was written yet.
        """
        state = torch.load(self.path, weights_only=True, map_location="cpu")
        modules.load_state_dict(state["modules"])
        optimizer.load_state_dict(state["optimizer"])
        return state["step"], state["planned"]


@contextmanager
def named_when_lost(checkpoint: Checkpoint | None) -> Iterator[None]:
    """Add to the error of a lost process the file from which any number of processes can go on."""
    try:
        yield
    except RankLost as error:
        if checkpoint is None or not checkpoint.path.exists():
            raise
        again = f"Checkpoint(Path({str(checkpoint.path)!r}), resume=True)"
        raise RankLost(f"another process of this run was lost: go on with Schedule(checkpoint={again})") from error
