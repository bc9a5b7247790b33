"""What importance weights say: means with errors, the effective sample size, the tail; and resampling by them."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor

HEAVY_TAIL = 0.7
"""Tail index from which a mean of weights is not reliable (Vehtari et al., arXiv 1507.02646, section 3)."""

FEWEST_IN_TAIL = 5
"""The Pareto law has two parameters; a fit to fewer weights says nothing (arXiv 1507.02646)."""

PRIOR_INDEX, PRIOR_WEIGHTS = 0.5, 10
"""The prior on k̂ is worth ten weights of tail index one half (arXiv 1507.02646, appendix C)."""


class Estimate(NamedTuple):
    """A number with its Monte Carlo standard error, both in the same unit (nats for a log evidence)."""

    value: float
    std_error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.std_error:.3f}"

    def _repr_html_(self) -> str:
        return f"<span>{self}</span>".replace("-", "\u2212")


# Means and their errors


def mean_with_error(values: Tensor) -> Estimate:
    """The mean of ``(N,)`` with its standard error ``sd / √N``; the error is NaN where a value is infinite."""
    values = values.double()
    return Estimate(float(values.mean()), float(values.std()) / math.sqrt(len(values)))


def log_mean_exp(log_weights: Tensor) -> Tensor:
    """``log mean exp`` of log weights over the last dimension: ``(*, N) -> (*,)`` float64, in nats."""
    return log_weights.double().logsumexp(-1) - math.log(log_weights.shape[-1])


def log_evidence(log_weights: Tensor) -> Estimate:
    """``log Ẑ = log mean w`` of log weights ``(N,)``, in nats.

    The standard error is the delta method's, ``sd(w) / (mean(w) √N)``.

    >>> log_evidence(torch.zeros(8))
    Estimate(value=0.0, std_error=0.0)
    """
    value = log_mean_exp(log_weights)
    relative = (log_weights.double() - value).exp()
    return Estimate(float(value), float(relative.std() / math.sqrt(len(relative))))


def bootstrap_log_evidence(log_weights: Tensor, repeats: int = 1_000, generator: Generator | None = None) -> Estimate:
    """``log Ẑ = log mean w`` with its bootstrap standard error, in nats.

    The error is the standard deviation over multinomial resamples. It is too small if few weights carry the sum, as
    is the delta method's. It is NaN if a resample has no positive weight.

    Args:
        log_weights: ``(N,)``, in nats.
        repeats: number of resamples; 1,000 give the error to about 2 %.
        generator: the source of randomness.

    Raises:
        ValueError: under two repeats.

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


def evidence_gap(log_weights: Tensor, reverse_log_weights: Tensor) -> float:
    """``EUBO − ELBO = E_p[log w] − E_q[log w]``, in nats.

    It is the sum of both Kullback-Leibler divergences between the two laws of paths.

    >>> evidence_gap(torch.tensor([-1.0, 0.0]), torch.tensor([1.0, 2.0]))
    2.0
    """
    return float(reverse_log_weights.double().mean() - log_weights.double().mean())


# Effective sample size


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """``(Σw)² / Σw²`` over the first dimension, in draws: ``(N, *) -> (*,)`` float64; NaN if every weight is zero.

    >>> round(float(effective_sample_size(torch.zeros(5))), 6)
    5.0
    """
    log_weights = log_weights.double()
    return (2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0)).exp()


def effective_sample_fraction(log_weights: Tensor) -> float:
    """``effective_sample_size / N`` of log weights ``(N,)``, between 1/N and 1; 0 if every weight is zero.

    >>> effective_sample_fraction(torch.tensor([0.0, -torch.inf]))
    0.5
    """
    if not bool((log_weights > -torch.inf).any()):
        return 0.0
    return float(effective_sample_size(log_weights)) / len(log_weights)


def reverse_effective_sample_fraction(reverse_log_weights: Tensor) -> float:
    """``1 / (E_p[w] E_p[1/w])``, between 0 and 1, from log weights ``(N,)`` of backward paths of exact draws.

    It estimates the same number as ``effective_sample_fraction``, ``E_q[w]² / E_q[w²]``, since ``E_q[w²] = Z E_p[w]``
    and ``E_p[1/w] = 1/Z``. It also sees the modes that the sampler never visits. It is 0 if a weight is infinite.

    >>> reverse_effective_sample_fraction(torch.zeros(4))
    1.0
    """
    return float((-log_mean_exp(reverse_log_weights) - log_mean_exp(-reverse_log_weights)).exp())


# Tail


def num_in_tail(count: int) -> int:
    """How many of ``count`` weights are the tail, ``min(N / 5, 3 √N)`` (arXiv 1507.02646)."""
    return int(min(0.2 * count, 3 * math.sqrt(count)))


def pareto_shape(log_weights: Tensor) -> float:
    """k̂, the shape of a generalized Pareto law fitted to the largest weights; under 0.7 their mean is reliable.

    Zhang and Stephens' (2009) estimator with the prior of Vehtari et al., arXiv 1507.02646.

    Args:
        log_weights: ``(N,)``, in nats. The tail is the largest ``min(N / 5, 3 √N)`` of them.

    Returns:
        k̂; +inf if fewer than five weights are in the tail, −inf if the tail's weights are all equal.

    >>> heavy = torch.rand(4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64).log() * -1.0
    >>> abs(pareto_shape(heavy) - 1.0) < 0.2
    True
    """
    finite = log_weights.double()[log_weights > -torch.inf]
    tail_size = num_in_tail(finite.numel())
    if tail_size < FEWEST_IN_TAIL:
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
    return (tail_size * fitted + PRIOR_WEIGHTS * PRIOR_INDEX) / (tail_size + PRIOR_WEIGHTS)


# Resampling


def systematic(log_weights: Tensor, count: int, generator: Generator | None) -> Tensor:
    """``count`` ancestor indices, ``(N,) -> (count,)`` int64; row i is taken ``⌊count·w_i⌋`` or ``⌈count·w_i⌉`` times.

    Kitagawa (1996), JCGS 5(1).

    Raises:
        ValueError: no weight is positive.

    >>> systematic(torch.tensor([0.0, 0.0, -torch.inf]), 4, torch.Generator().manual_seed(0)).tolist()
    [0, 0, 1, 1]
    """
    if not bool((log_weights > -torch.inf).any()):
        raise ValueError("no weight is positive: every particle has density zero; widen the base or move the starts")
    cumulative = log_weights.double().softmax(0).cumsum(0)
    offset = torch.rand((), generator=generator, dtype=torch.float64, device=log_weights.device)
    points = (torch.arange(count, dtype=torch.float64, device=log_weights.device) + offset) / count
    # rounding of the sum may push the last point past it, onto a row of weight zero
    last = (log_weights > -torch.inf).nonzero().amax()
    return torch.searchsorted(cumulative, points * cumulative[-1]).clamp(max=last)


def systematic_by_context(log_weights: Tensor, count: int, generator: Generator | None) -> Tensor:
    """``systematic`` in every column of ``(N, M)``: indices ``(count · M,)`` into the flattened weights.

    Row i of the result is again a row of context ``i mod M``.
    """
    contexts = log_weights.shape[1]
    columns = [contexts * systematic(log_weights[:, m], count, generator) + m for m in range(contexts)]
    return torch.stack(columns, 1).flatten()
