"""How far draws lie from exact draws: optimal transport, its entropic form, and kernel means."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import torch

from amortized._types import Generator, Tensor
from amortized.weights import Estimate

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Squared bandwidths over the median squared distance: two octaves to either side, so that no width decides alone."""

SINKHORN_POINTS = 500
"""Points of each set that the Sinkhorn distance uses: an iteration costs their product."""

ITERATIONS, TOLERANCE, CONVERGED = 1_000, 1e-5, 1e-4
"""Of POT's iterations: at most, the error at which they end, and the largest error that is accepted."""


def wasserstein2(x: Tensor, y: Tensor) -> float:
    """``W₂ = (min over permutations π of mean |x_i − y_π(i)|²)^½``, in the unit of the draws.

    It is exact, by POT's network simplex. The columns headed W₂² in arXiv 2402.05098 are this root.

    Args:
        x: draws ``(N, D)``.
        y: exact draws ``(N, D)``.

    Raises:
        ValueError: the sets differ in shape, or a draw is not finite.
        ImportError: POT is not installed.

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

    ``OT_ε = min over plans P of Σ P_ij |x_i − y_j|² + ε KL(P ‖ uniform)``. It tends to W₂ as ε tends to 0. Feydy et
    al., arXiv 1810.08278.

    Args:
        x: draws ``(N, D)``, of which the first 500 are used.
        y: exact draws ``(M, D)``, of which the first 500 are used.
        regularisation: ε, in squared units. The default is a twentieth of the mean squared distance between the exact
            draws, so that it is the same for all samplers.

    Raises:
        ValueError: shapes differ, a draw is not finite, or the iterations do not converge.
        ImportError: POT is not installed.

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
    """``MMD = (mean k(x, x') + mean k(y, y') − 2 mean k(x, y))^½``, between 0 and √2, without unit.

    k is the mean of five Gaussian kernels ``exp(−|x − y|² / (2 s m))`` with s in ``SCALES``. m is the median squared
    distance between the exact draws, so that the kernel is the same for all samplers. This is the V-statistic, which
    is biased and never negative: exact draws give about ``((1/N + 1/M)(1 − mean k))^½``. Gretton et al. (2012), JMLR.

    Args:
        x: draws ``(N, D)``.
        y: exact draws ``(M, D)``.

    Raises:
        ValueError: shapes differ, a draw is not finite, or half of the exact draws are equal.

    >>> points = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    >>> maximum_mean_discrepancy(points, points)
    0.0
    """
    x, y = _checked(x, y)
    between = _squared_distances(y, y)
    median = between[~torch.eye(len(y), dtype=torch.bool)].median()
    if not float(median) > 0:
        raise ValueError("y: half of its draws are equal; pass exact draws that differ")

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
    """The mean distance between two independent sets of exact draws, and its std from set to set.

    ``std_error`` is the std over the repeats and not that of their mean: a single measured distance varies by so much.

    Args:
        distance: of two sets of draws.
        sample: gives exact draws ``(count, D)`` for ``(count, generator)``.
        count: draws of each set.
        repeats: pairs of sets.
        generator: the source of randomness.

    Raises:
        ValueError: under two repeats.
    """
    if repeats < 2:
        raise ValueError(f"repeats: {repeats}, should be at least 2; write noise_floor(distance, sample, repeats=5)")
    found = [distance(sample(count, generator), sample(count, generator)) for _ in range(repeats)]
    values = torch.tensor(found, dtype=torch.float64)
    return Estimate(float(values.mean()), float(values.std()))


def _entropic_cost(transport: Any, x: Tensor, y: Tensor, epsilon: float) -> float:
    """The dual's value ``mean f + mean g`` up to ``ε log(NM)``, which cancels in the divergence."""
    cost = _squared_distances(x, y).numpy()
    _, log = transport.sinkhorn(
        [], [], cost, epsilon, method="sinkhorn_log", numItermax=ITERATIONS, stopThr=TOLERANCE, log=True, warn=False
    )
    if not log["err"][-1] < CONVERGED:
        raise ValueError(f"no convergence at regularisation {epsilon:.3g}: write a larger one")
    return epsilon * (float(log["log_u"].mean() + log["log_v"].mean()) + math.log(len(x)) + math.log(len(y)))


def _squared_distances(x: Tensor, y: Tensor) -> Tensor:
    return torch.cdist(x, y).square()


def _checked(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets as float64 on the CPU."""
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
