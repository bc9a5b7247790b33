"""What a user asked of a guide, in one record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from amortized.samplers import DiffusionSampler
from amortized.targets.contexts import LocalTo


@dataclass(frozen=True)
class Settings:
    """The options of ``DiffusionGuide`` that say how the work is done, as described there."""

    preset: Callable[..., DiffusionSampler]
    make_sampler: Callable[..., DiffusionSampler] | None
    langevin: bool | None
    seed: int
    max_seconds: float
    device: torch.device
    progress: bool
    amortize: str | Sequence[str] | LocalTo | None = None
    embedding: nn.Module | None = None
