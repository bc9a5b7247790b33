"""What importance weights say: a mean with its error, an effective sample size, the tail; and resampling by them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor


class Estimate(NamedTuple):
    """A number with its Monte Carlo standard error, both in the same unit (nats for a log evidence)."""

    value: float
    std_error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.std_error:.3f}"


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


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """``(Σw)² / Σw²``, in draws; a scalar float64.

    >>> round(float(effective_sample_size(torch.zeros(5))), 6)
    5.0
    """
    log_weights = log_weights.double()
    return (2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0)).exp()


def pareto_shape(log_weights: Tensor) -> float:
    """k̂ of a generalized Pareto law fitted to the largest ``min(N/5, 3√N)`` weights; below 0.7 means can be trusted.

    Zhang and Stephens' (2009) estimator with the prior of Vehtari et al., arXiv 1507.02646. +inf when fewer than five
    weights are in the tail.

    >>> heavy = torch.rand(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64).log() * -1.0
    >>> abs(pareto_shape(heavy) - 1.0) < 0.2
    True
    """
    finite = log_weights.double()[log_weights > -torch.inf]
    tail_size = int(min(0.2 * finite.numel(), 3 * math.sqrt(finite.numel())))
    if tail_size < 5:
        return math.inf
    largest = (finite - finite.max()).exp().sort().values[-tail_size - 1 :]
    excess = largest[1:] - largest[0]
    if float(excess[-1]) <= 0:
        return -math.inf
    grid_size = 30 + int(math.sqrt(tail_size))
    grid = 1 - (grid_size / (torch.arange(1, grid_size + 1, dtype=torch.float64, device=excess.device) - 0.5)).sqrt()
    theta = grid / (3 * excess[max(int(tail_size / 4 + 0.5) - 1, 0)].clamp(min=1e-300)) + 1 / excess[-1]
    shape = torch.log1p(-theta[:, None] * excess).mean(-1)
    log_likelihood = tail_size * (torch.log(-theta / shape) - shape - 1)
    best = (log_likelihood.softmax(0) * theta).sum()
    fitted = float(torch.log1p(-best * excess).mean())
    return (tail_size * fitted + 10 * 0.5) / (tail_size + 10)


def systematic(log_weights: Tensor, count: int, generator: Generator | None) -> Tensor:
    """``count`` ancestor indices, each row taken ``⌊count·w⌋`` or ``⌈count·w⌉`` times; ``(N,) -> (count,)`` int64.

    Raises ValueError when no weight is positive. Kitagawa (1996), JCGS 5(1).

    >>> systematic(torch.tensor([0.0, 0.0, -torch.inf]), 4, torch.Generator().manual_seed(0)).tolist()
    [0, 0, 1, 1]
    """
    if not bool((log_weights > -torch.inf).any()):
        raise ValueError("no weight is positive: every particle has density zero; widen the base or move the starts")
    cumulative = log_weights.double().softmax(0).cumsum(0)
    offset = torch.rand((), generator=generator, dtype=torch.float64, device=log_weights.device)
    points = (torch.arange(count, dtype=torch.float64, device=log_weights.device) + offset) / count
    last = (log_weights > -torch.inf).nonzero().amax()
    return torch.searchsorted(cumulative, points * cumulative[-1]).clamp(max=last)


def systematic_by_context(log_weights: Tensor, count: int, generator: Generator | None) -> Tensor:
    """``systematic`` in every column of ``(N, M)``: rows ``(count · M,)`` of the flattened weights, column after column
    in turn, so that row i is again one of context ``i mod M``."""
    contexts = log_weights.shape[1]
    columns = [contexts * systematic(log_weights[:, m], count, generator) + m for m in range(contexts)]
    return torch.stack(columns, 1).flatten()
