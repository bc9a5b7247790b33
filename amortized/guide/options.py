"""What a user asked of a guide, in one record."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from amortized.samplers import DiffusionSampler
from amortized.targets.conditional.contexts import LocalTo


@dataclass(frozen=True)
class Settings:
    """The options of ``DiffusionGuide`` that say how the work is done, as described there.

    ``components``: the number of Gaussians that ``sharpened`` takes, if any; ``ValueError`` together with ``amortize``.
    ``untried``: a seed that neither the guide nor a replica of it has.
    ``ValueError`` also for no time, and for ``langevin`` beside a sampler of the user's own.
    """

    preset: Callable[..., DiffusionSampler]
    make_sampler: Callable[..., DiffusionSampler] | None
    langevin: bool | None
    components: int | None
    seed: int
    max_seconds: float
    device: torch.device
    progress: bool
    amortize: str | Sequence[str] | LocalTo | None = None
    embedding: nn.Module | None = None
    untried: int = 1

    def __post_init__(self) -> None:
        if self.make_sampler is not None and self.langevin is not None:
            typed = f"partial(GFlowNet, langevin={self.langevin})"
            raise ValueError(f"langevin={self.langevin} with sampler=: write {typed} there")
        if not self.max_seconds > 0:
            raise ValueError(f"max_seconds={self.max_seconds}: write a positive number of seconds, for instance 60")
        if self.components is not None and self.amortize is not None:
            raise ValueError(
                f"amortize={self.amortize!r} with a mixture of {self.components} Gaussians, which is fitted to one "
                "posterior: write DiffusionGuide(model, amortize=...), or MixtureGuide(model) for each data set"
            )


def whole_seed(seed: Any) -> int:
    """The seed as an int; raises ``TypeError`` for anything but a whole number."""
    try:
        return operator.index(seed)
    except TypeError:
        raise TypeError(f"seed={seed!r}: write a whole number, for instance seed=0") from None


def limit(max_seconds: Any, default: float) -> float:
    """The limit in seconds, ``default`` for None; raises ``TypeError`` for anything but a number."""
    try:
        if max_seconds is None:
            return default
        _ = max_seconds + 0.0
        return max_seconds
    except TypeError:
        said = f"max_seconds={max_seconds!r}: write a positive number of seconds, for instance max_seconds=60"
        raise TypeError(said) from None
