"""Targets whose log Z is known, and policies that are not what they started as."""

import math
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from amortized._types import Generator, Sites, Tensor, for_rows
from amortized.policies import LangevinMLP
from amortized.processes.base import Process
from amortized.targets.base import Target
from amortized.targets.callable import DensityTarget


def seeded(seed: int = 0) -> Generator:
    return torch.Generator().manual_seed(seed)


def gaussian(mean: list[float], covariance: list[list[float]] | Tensor, log_partition: float = 0.0) -> DensityTarget:
    """``Z · N(mean, covariance)`` in the default dtype."""
    location, matrix = torch.tensor(mean), torch.as_tensor(covariance)
    normal = torch.distributions.MultivariateNormal(location, matrix)
    return DensityTarget(lambda x: normal.log_prob(x) + log_partition, len(mean), dtype=location.dtype)


def isotropic(dim: int, scale: float = 1.0, log_partition: float = 0.0) -> DensityTarget:
    """``Z · N(0, scale² I)``."""
    constant = log_partition - dim * math.log(scale * math.sqrt(2 * math.pi))
    return DensityTarget(lambda x: constant - 0.5 * (x / scale).square().sum(-1), dim, dtype=torch.get_default_dtype())


Module = TypeVar("Module", bound=nn.Module)


def perturbed(policy: Module, spread: float, seed: int = 0) -> Module:
    """The same module with ``N(0, spread²)`` added to every weight, in place."""
    generator = seeded(seed)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter += spread * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
    return policy


def network(dim: int, spread: float = 0.0, seed: int = 0, width: int = 8, **options) -> LangevinMLP:
    """A small policy, every weight of it fixed by the seed; ``spread=0`` leaves its control at zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return perturbed(LangevinMLP(dim, width=width, **options), spread, seed)


class SameFeatures(nn.Module):
    """An embedding that has nothing to learn: contexts ``(M, size)`` are features as they are."""

    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def forward(self, context: Tensor) -> Tensor:
        return context


class Located(Target):
    """``Z(c) · N(c, scale² I)`` with ``log Z(c) = Σ c`` for contexts ``(M, D)``: row i belongs to ``i mod M``."""

    def __init__(self, context: Tensor, scale: float = 1.0, indices: Tensor | None = None):
        super().__init__(context.shape[1], torch.get_default_dtype(), context.device)
        self.context, self.scale, self.indices = context, scale, indices

    @property
    def log_partitions(self) -> Tensor:
        return self.located.sum(-1).double()

    @property
    def located(self) -> Tensor:
        assert self.context is not None
        return self.context

    def at(self, m: int) -> "Located":
        """The density of context m alone."""
        return Located(self.located[m : m + 1], self.scale)

    def _log_prob(self, x: Tensor) -> Tensor:
        place = for_rows(self.located, len(x))
        constant = place.sum(-1) - self.dim * math.log(self.scale * math.sqrt(2 * math.pi))
        return constant - 0.5 * ((x - place) / self.scale).square().sum(-1)

    def _log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._log_prob(x), (for_rows(self.located, len(x)) - x) / self.scale**2

    def constrain(self, x: Tensor) -> Sites:
        return {"x": x}


def steering(process: Process, dim: int, spread: float = 0.0, seed: int = 0, **options) -> LangevinMLP:
    """``network`` for a process whose states may carry more than the target's ``dim`` variables."""
    state_dim = process.sample_prior(1, dim, seeded()).shape[-1]
    return network(dim, spread, seed, state_dim=state_dim, **options)


FIVE_WEIGHTS = torch.tensor([0.4, 0.3, 0.2, 0.05, 0.05], dtype=torch.float64)
FIVE_MEANS = torch.as_tensor(np.random.default_rng(3).standard_normal((5, 10)) * 6)
FIVE_SDS = torch.tensor([1.0, 0.7, 1.5, 1.0, 0.5], dtype=torch.float64)


def five_modes() -> tuple[DensityTarget, Callable[[Tensor], Tensor]]:
    """Five Gaussians in 10 dimensions, 12 to 40 apart, the last 12 from the widest and a third as wide; log Z = 0.

    Also the log density of each ``(B, 5)``.
    """

    def parts(x: Tensor) -> Tensor:
        z = (x[:, None] - FIVE_MEANS.to(x)) / FIVE_SDS.to(x)[:, None]
        constant = FIVE_WEIGHTS.log() - 10 * FIVE_SDS.log() - 5 * math.log(2 * math.pi)
        return constant.to(x) - 0.5 * z.square().sum(-1)

    return DensityTarget(lambda x: parts(x).logsumexp(-1), 10, torch.float64), parts
