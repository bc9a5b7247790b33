"""Transitions: the law of a step, given its mean and std."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch

from amortized._types import Generator, Tensor

LOG_TWO_PI = math.log(2 * math.pi)


def log_normal(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """``log N(x; mean, diag std²)`` summed over the last dimension; ``(..., D) -> (...)``."""
    residual = x - mean
    residual = residual / std if std.requires_grad else residual.div_(std)  # all steps of a path may be a gigabyte
    square = (
        residual.square().sum(-1) if residual.requires_grad else torch.linalg.vector_norm(residual, dim=-1).square()
    )
    return -0.5 * square - (log_det(std, residual) + 0.5 * residual.shape[-1] * LOG_TWO_PI)


def log_det(std: Tensor, like: Tensor) -> Tensor:
    """``Σ_d log std_d`` over the D coordinates of ``like``; a std of all of them is not added up D times."""
    logs = std.log()
    return logs.sum(-1) if std.shape[-1:] == like.shape[-1:] else like.shape[-1] * logs.sum(-1)


def standard_normal(like: Tensor, generator: Generator | None) -> Tensor:
    """N(0, 1) noise of the shape, dtype and device of ``like``."""
    return torch.randn(like.shape, generator=generator, device=like.device, dtype=like.dtype)


class Transition(ABC):
    """A law with a mean and a std, independent over coordinates."""

    @abstractmethod
    def noise(self, like: Tensor, generator: Generator | None = None) -> Tensor:
        """Draws of mean 0 and std 1, of the shape, dtype and device of ``like``."""

    def draw(self, mean: Tensor, std: Tensor, generator: Generator | None = None) -> Tensor:
        """One draw for every element of ``mean``: ``mean + std · noise``, differentiable in mean and std."""
        return mean + std * self.noise(mean, generator)

    @abstractmethod
    def log_prob(self, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """Log density summed over the last dimension; ``(..., D) -> (...)``."""


class Gaussian(Transition):
    """``N(mean, std²)``: exact for a linear process with a Gaussian belief."""

    def noise(self, like: Tensor, generator: Generator | None = None) -> Tensor:
        return standard_normal(like, generator)

    def log_prob(self, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        return log_normal(x, mean, std)


class StudentT(Transition):
    """Student's t scaled to ``std``, with occasional long steps: ``x = mean + std √((ν−2)/ν) t_ν`` by coordinate.

    Args:
        degrees: ν; above 2, since the variance is infinite otherwise.

    Raises:
        ValueError: ``degrees`` of 2 or fewer.

    >>> law = StudentT(degrees=5.0)
    >>> draws = law.draw(torch.zeros(20_000, 1), torch.ones(1), torch.Generator().manual_seed(0))
    >>> 0.9 < draws.std() < 1.1
    tensor(True)
    """

    def __init__(self, degrees: float = 5.0):
        if not degrees > 2:
            raise ValueError(f"degrees={degrees}: a finite std needs more than 2 degrees of freedom; write degrees=5.0")
        self.degrees = degrees
        self.shrink = math.sqrt((degrees - 2) / degrees)
        half = 0.5 * degrees
        self.log_constant = math.lgamma(half + 0.5) - math.lgamma(half) - 0.5 * math.log(degrees * math.pi)

    def noise(self, like: Tensor, generator: Generator | None = None) -> Tensor:
        """By Bailey's polar form ``√(ν (u^(−2/ν) − 1)) cos(2πv)``, which needs two uniform draws and no rejection."""
        shape, options = like.shape, {"generator": generator, "device": like.device, "dtype": like.dtype}
        uniform = 1 - torch.rand(shape, **options)
        angle = torch.rand(shape, **options)
        radius = (self.degrees * torch.expm1(-2 / self.degrees * uniform.log())).sqrt()
        return self.shrink * radius * (2 * math.pi * angle).cos()

    def log_prob(self, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        scale = std * self.shrink
        residual = (x - mean) / scale
        kernel = -0.5 * (self.degrees + 1) * torch.log1p(residual.square() / self.degrees)
        return (kernel + self.log_constant).sum(-1) - log_det(scale, residual)
