"""What the path weights say: evidence, effective sample size, bounds."""

from __future__ import annotations

import math

import torch

from amortized._types import Tensor
from amortized.draws import Estimate


def log_mean_exp(log_weights: Tensor) -> Tensor:
    """``log mean exp`` of ``(N,)`` log weights in nats."""
    return log_weights.double().logsumexp(-1) - math.log(log_weights.shape[-1])


def log_evidence(log_weights: Tensor) -> Estimate:
    """``log Ẑ = log mean w`` with its delta-method standard error ``sd(w) / (mean(w) √N)``, in nats.

    >>> log_evidence(torch.zeros(8))
    Estimate(value=0.0, std_error=0.0)
    """
    value = log_mean_exp(log_weights)
    relative = (log_weights.double() - value).exp()
    return Estimate(float(value), float(relative.std() / math.sqrt(len(relative))))


def effective_sample_fraction(log_weights: Tensor) -> float:
    """``(Σw)² / (N Σw²)``, between 1/N and 1; 0 where every weight is zero.

    >>> effective_sample_fraction(torch.tensor([0.0, -torch.inf]))
    0.5
    """
    if not bool((log_weights > -torch.inf).any()):
        return 0.0
    normalized = log_weights.double().softmax(-1)
    return float(1.0 / (normalized.square().sum() * len(normalized)))


def reverse_effective_sample_fraction(log_weights: Tensor, log_partition: float) -> float:
    """The same fraction from paths noised back from draws of the target: ``Z / mean w``; near 0 where a mode is missed."""
    return math.exp(min(0.0, log_partition - float(log_mean_exp(log_weights))))
