"""What the path weights say: evidence, effective sample size, bounds."""

from __future__ import annotations

import math

import torch

from amortized._types import Generator, Tensor
from amortized.estimate import Estimate
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


def bootstrap_log_evidence(log_weights: Tensor, repeats: int = 1_000, generator: Generator | None = None) -> Estimate:
    """``log Ẑ = log mean w`` with its bootstrap standard error: the deviation over multinomial resamples, in nats.

    ``log_weights: (N,)``. Where few weights carry the sum both this error and the delta method's are too small; where
    a resample has no positive weight the error is not a number. Raises ValueError for under two repeats.

    >>> bootstrap_log_evidence(torch.zeros(8))
    Estimate(value=0.0, std_error=0.0)
    """
    if repeats < 2:
        raise ValueError(f"repeats: {repeats}, should be at least 2; write bootstrap_log_evidence(log_weights, 1_000)")
    value, count = log_mean_exp(log_weights), len(log_weights)
    if not bool(value.isfinite()):
        return Estimate(float(value), math.nan)
    relative = (log_weights.double() - value).exp()
    size = (repeats, count)
    chosen = torch.randint(count, size, generator=generator, device=log_weights.device)
    return Estimate(float(value), float(relative[chosen].mean(-1).log().std()))


def reverse_effective_sample_fraction(reverse_log_weights: Tensor) -> float:
    """``1 / (E_p[w] E_p[1/w])``, between 0 and 1, from log weights ``(N,)`` of paths noised back from exact draws.

    It estimates the same number as ``effective_sample_fraction``, ``E_q[w]² / E_q[w²]``, since ``E_q[w²] = Z E_p[w]``
    and ``E_p[1/w] = 1/Z``; but it also sees the modes that the sampler never visits. 0 where a weight is infinite.

    >>> reverse_effective_sample_fraction(torch.zeros(4))
    1.0
    """
    return float((-log_mean_exp(reverse_log_weights) - log_mean_exp(-reverse_log_weights)).exp())


def evidence_gap(log_weights: Tensor, reverse_log_weights: Tensor) -> float:
    """``EUBO − ELBO = E_p[log w] − E_q[log w]``, the sum of both Kullback-Leibler divergences of the paths; in nats.

    >>> evidence_gap(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 2.0]))
    2.0
    """
    return float(reverse_log_weights.double().mean() - log_weights.double().mean())
