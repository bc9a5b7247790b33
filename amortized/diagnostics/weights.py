"""What the path weights say: evidence, effective sample size, bounds."""

from __future__ import annotations

import math

import torch

from amortized._types import Tensor
from amortized.draws import Estimate
from amortized.mcmc.resampling import effective_sample_size


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
    return float(effective_sample_size(log_weights)) / len(log_weights)
