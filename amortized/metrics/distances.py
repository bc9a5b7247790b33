"""How far a set of draws lies from exact draws: optimal transport, its entropic form, and kernel means."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import torch

from amortized._types import Generator, Tensor
from amortized.weights import Estimate

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Multiples of the median squared distance that serve as squared bandwidths."""

SINKHORN_POINTS = 500
"""How many points of each set the Sinkhorn distance uses."""


def wasserstein2(x: Tensor, y: Tensor) -> float:
    """``W₂ = (min over permutations π of mean |x_i − y_π(i)|²)^½``: the root, in the unit of the draws.

    ``x, y: (N, D)``. Exact, by POT's network simplex. The columns headed W₂² in arXiv 2402.05098 hold this root.
    Raises ValueError when the two sets differ in shape or are not finite, ImportError without POT.

    >>> points = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    >>> round(wasserstein2(points, points + torch.tensor([3.0, 4.0])), 4)
    5.0
    """
    transport = _transport()
    x, y = _checked(x, y)
    if len(x) != len(y):
        raise ValueError(f"x and y: {len(x)} and {len(y)} draws; write wasserstein2(x[:{min(len(x), len(y))}], y[...])")
    cost = _squared_distances(x, y).numpy()
    return math.sqrt(max(float(transport.emd2([], [], cost, numItermax=10_000_000)), 0.0))


def sinkhorn_distance(x: Tensor, y: Tensor, regularisation: float | None = None) -> float:
    """Root of the debiased Sinkhorn divergence ``OT_ε(x, y) − ½ OT_ε(x, x) − ½ OT_ε(y, y)``, in the unit of the draws.

    ``OT_ε = min over plans P of Σ P_ij |x_i − y_j|² + ε KL(P ‖ uniform)``, solved by POT's iterations in logarithms.
    ``x: (N, D)``, ``y: (M, D)``. ``regularisation`` is ε, in squared units; by default a twentieth of the mean squared
    distance between the points of ``y``, so that all samplers are measured by the same ε. Tends to W₂ as ε does to 0.
    Only the first 500 points of each are used: an iteration costs their product. Raises ValueError when shapes
    differ, a draw is not finite or the iterations do not converge, ImportError without POT. Feydy et al., 1810.08278.

    >>> points = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    >>> round(sinkhorn_distance(points, points + torch.tensor([3.0, 4.0])), 2)
    5.0
    """
    transport = _transport()
    x, y = (points[:SINKHORN_POINTS] for points in _checked(x, y))
    epsilon = 0.05 * float(_squared_distances(y, y).mean()) if regularisation is None else regularisation
    if not epsilon > 0:
        raise ValueError(f"regularisation: {epsilon}, should be positive; write sinkhorn_distance(x, y, 0.1)")
    within = _entropic_cost(transport, x, x, epsilon) + _entropic_cost(transport, y, y, epsilon)
    return math.sqrt(max(_entropic_cost(transport, x, y, epsilon) - within / 2, 0.0))


def maximum_mean_discrepancy(x: Tensor, y: Tensor) -> float:
    """``MMD = (mean k(x, x') + mean k(y, y') − 2 mean k(x, y))^½``, the V-statistic: biased, and never negative.

    ``k`` is the mean of five Gaussian kernels ``exp(−|x − y|² / (2 s m))``, s in ``SCALES``, with ``m`` the median
    squared distance between the points of ``y``: put the exact draws there, and every sampler meets the same kernel.
    ``x: (N, D)``, ``y: (M, D)``; without unit, at most √2. Exact draws give about ``((1/N + 1/M)(1 − mean k))^½``.
    Raises ValueError when shapes differ or a draw is not finite. Gretton et al. (2012), JMLR 13.

    >>> points = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    >>> maximum_mean_discrepancy(points, points)
    0.0
    """
    x, y = _checked(x, y)
    between = _squared_distances(y, y)
    median = between[~torch.eye(len(y), dtype=torch.bool)].median()
    if not float(median) > 0:
        raise ValueError("y: half of its draws coincide; hand on exact draws that differ")

    def mean_kernel(squared: Tensor) -> float:
        return sum(float((squared / (-2 * scale * median)).exp().mean()) for scale in SCALES) / len(SCALES)

    squared = mean_kernel(_squared_distances(x, x)) + mean_kernel(between) - 2 * mean_kernel(_squared_distances(x, y))
    return math.sqrt(max(squared, 0.0))


def noise_floor(
    distance: Callable[[Tensor, Tensor], float],
    sample: Callable[[int, Generator | None], Tensor],
    count: int = 2_000,
    repeats: int = 5,
    generator: Generator | None = None,
) -> Estimate:
    """Mean of ``distance`` between two independent exact sets of ``count`` draws, with its deviation from set to set.

    ``sample(count, generator)`` gives ``(count, D)``. ``std_error`` holds the standard deviation over ``repeats``, not
    that of the mean: it says what a single measured distance may differ by. Raises ValueError for under two repeats.
    """
    if repeats < 2:
        raise ValueError(f"repeats: {repeats}, should be at least 2; write noise_floor(distance, sample, repeats=5)")
    found = [distance(sample(count, generator), sample(count, generator)) for _ in range(repeats)]
    values = torch.tensor(found, dtype=torch.float64)
    return Estimate(float(values.mean()), float(values.std()))


def _entropic_cost(transport: Any, x: Tensor, y: Tensor, epsilon: float) -> float:
    """Value of the dual, ``mean f + mean g``, up to ``ε log(NM)``, which the debiasing takes away."""
    cost = _squared_distances(x, y).numpy()
    _, log = transport.sinkhorn(
        [], [], cost, epsilon, method="sinkhorn_log", numItermax=1_000, stopThr=1e-5, log=True, warn=False
    )
    if not log["err"][-1] < 1e-4:
        raise ValueError(f"no convergence at regularisation {epsilon:.3g}: write a larger one")
    return epsilon * (float(log["log_u"].mean() + log["log_v"].mean()) + math.log(len(x)) + math.log(len(y)))


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y).square()


def _checked(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets as float64 on the processor."""
    for name, points in (("x", x), ("y", y)):
        if points.ndim != 2 or len(points) < 2:
            raise ValueError(f"{name}: shape {tuple(points.shape)}, should be (N, D), N > 1; write {name}.flatten(1)")
        undefined = int((~points.isfinite()).any(-1).sum())
        if undefined:
            raise ValueError(f"{name}: {undefined} of {len(points)} draws are not finite; write {name}[finite rows]")
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"x and y: dimensions {x.shape[1]} and {y.shape[1]}; both should be in the same space")
    return x.detach().double().cpu(), y.detach().double().cpu()


def _transport() -> Any:
    try:
        return importlib.import_module("ot")
    except ImportError as error:
        raise ImportError("optimal transport needs the package POT: pip install 'amortized[bench]'") from error
