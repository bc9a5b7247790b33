"""Weights to ancestors, and what a set of log weights is worth."""

from __future__ import annotations

import math

import torch

from amortized._types import Generator, Tensor


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
