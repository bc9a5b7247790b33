"""Lower bounds on log p(x), the same for every guide. They need only the log weights of its draws: (draws, images)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from truth import Posterior, log_normal


def elbo(log_weights: Tensor) -> Tensor:
    """``E[log w]``, in nats: ``(draws, images) -> (images,)``."""
    return log_weights.mean(0)


def importance_weighted(log_weights: Tensor, k: int = 100) -> Tensor:
    """``E[log (1/k) Σ w]`` over groups of k draws (IWAE, arXiv 1509.00519): ``(draws, images) -> (images,)``."""
    groups = log_weights[: len(log_weights) // k * k].unflatten(0, (-1, k))
    return (groups.logsumexp(1) - math.log(k)).mean(0)


def evidence(log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """``log`` of the weights' mean for each image and its standard error: ``(draws, images)`` to two ``(images,)``."""
    weights = (log_weights - log_weights.amax(0)).exp()
    mean, std = weights.mean(0), weights.std(0)
    return log_weights.amax(0) + mean.log(), std / mean / len(weights) ** 0.5


def mean_error(errors: Tensor) -> float:
    """Standard error of the mean over images, from their own errors, which are independent."""
    return float(errors.square().sum().sqrt()) / len(errors)


@torch.no_grad()
def gaussian_log_weights(target: Posterior, draws: int, generator: torch.Generator) -> Tensor:
    """``log p(x, z) - log q(z | x)`` of the encoder's own draws: ``(draws, images)``."""
    parts = []
    for _ in range(0, draws, 100):
        u = torch.randn(len(target.images) * 100, target.mean.shape[1], generator=generator)
        parts.append((target.log_joint(u) - log_normal(u)).double().unflatten(0, (-1, 100)).mT)
    return torch.cat(parts)[:draws]
