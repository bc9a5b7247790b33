"""Nested sampling by `dynesty`, from a broad Gaussian that stands for the prior."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.special import ndtri

from amortized._types import Tensor
from amortized.baselines.counts import check_counts
from amortized.baselines.record import Run
from amortized.baselines.reference import DiagonalGaussian, covering_gaussian
from amortized.baselines.together import Together
from amortized.results.draws import Draws
from amortized.targets.base import Target
from amortized.weights import Estimate, effective_sample_size, systematic

BATCH = 64
"""Points moved at once, at most an eighth of the live ones: a later shell may already exclude the last of a queue."""

EDGE, EDGE_SHARE = 1e-12, 0.01
"""Distance from the cube's faces, 7 stds from the mean, and the share of the weight there from which a warning says so.
At 7 stds a double still tells quantiles apart; at 8.2, a distance of 1e-16, it does not."""

LARGE = 20
"""Dimensions above which points move by slices, as with dynesty's own ``sample="auto"``."""

LOWEST = -1e300
"""The log likelihood for dynesty where the density is zero: it wants a finite value."""


def run(
    target: Target | Callable,
    args: Sequence = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    live_points: int = 500,
    draws: int = 4_000,
    max_calls: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Draws:
    """``Z = ∫ L(u) du`` over the unit cube, ``L = R(x) / q(x)`` with ``x = q``'s quantile of u: shells of rising L.

    q is a broad Gaussian: of the model's prior, moved and widened where short pilot chains end far from it, or of the
    chains where there is no prior. New points come by random walks within a shell up to 20 dimensions, by slices above.
    Skilling (2006), Bayesian Analysis 1(4); Speagle, arXiv 1904.02180.

    Args:
        target: a density, or a Pyro model, whose arguments are ``args`` and ``kwargs``.
        live_points: points of a shell; the error of log Z falls with their square root.
        draws: resampled from the weighted points.
        max_calls: ends the search early. It counts the points that dynesty tries, without the pilot's and the first
            live points; ``target_calls`` counts all.
        seed: of all randomness.
        progress: whether dynesty shows a line.

    Returns:
        Draws with ``log_evidence`` and ``attributes``: ``ess`` of the weighted points, ``iterations``, ``efficiency``,
        ``information`` in nats, and ``finished``, 0 where ``max_calls`` ended the search.

    Raises:
        ImportError: without dynesty.
        ValueError: where no start has a finite density.

    Warns where over 1 % of the weight lies at the cube's edge, 7 stds of q from its mean, which it hardly resolves.
    """
    dynesty = _dynesty()
    check_counts({"live_points": (live_points, 2), "draws": (draws, 1)})
    this = Run(target, args, kwargs)
    target = this.target
    cube = Cube(target, covering_gaussian(target, seed))
    found, finished = search(dynesty, cube, live_points, max_calls, seed, progress)
    log_weights = torch.from_numpy(np.asarray(found.logwt))
    warn_of_the_edge(found.samples_u, log_weights)
    generator = torch.Generator("cpu").manual_seed(seed)
    rows = systematic(log_weights, draws, generator)[torch.randperm(draws, generator=generator)]
    states = torch.from_numpy(found.samples)[rows].to(target.device, target.dtype)
    attributes = {
        "ess": float(effective_sample_size(log_weights)),
        "iterations": int(found.niter),
        "efficiency": float(found.eff) / 100,
        "information": float(found.information[-1]),
        "finished": int(finished),
    }
    evidence = Estimate(float(found.logz[-1]), float(found.logzerr[-1]))
    return this.draws("nested", states, attributes, log_evidence=evidence)


def search(
    dynesty: Any, cube: Cube, live_points: int, max_calls: int | None, seed: int, progress: bool
) -> tuple[Any, bool]:
    """The results of dynesty, and whether it ended by itself."""
    dim = cube.target.dim
    with Together(cube.log_likelihood, size=max(1, min(BATCH, live_points // 8))) as pool:
        sampler = dynesty.NestedSampler(
            pool.call,
            cube.transform,
            dim,
            nlive=live_points,
            rstate=np.random.default_rng(seed),
            sample="rwalk" if dim <= LARGE else "rslice",
            pool=pool,
            queue_size=pool.size,
            use_pool={"prior_transform": False},
        )
        first = sampler.ncall
        sampler.run_nested(maxcall=max_calls, print_progress=progress)
    return sampler.results, max_calls is None or sampler.ncall - first <= max_calls


def warn_of_the_edge(u: np.ndarray, log_weights: Tensor) -> None:
    """Warn where points ``u: (N, D)`` within 1e-12 of the cube's edge have over 1 % of the weight."""
    at_edge = torch.from_numpy(np.minimum(u, 1 - u).min(-1) < EDGE)
    share = float(log_weights.softmax(0)[at_edge].sum())
    if share > EDGE_SHARE:
        warnings.warn(
            f"{share:.0%} of the weight lies at the edge of nested sampling's cube, over 7 standard deviations from "
            "the prior's mean, which it hardly resolves: log Z and the draws may be far off. Compare smc.run, or shift "
            "and scale the model's sites so that their priors are near the posterior",
            stacklevel=3,
        )


class Cube:
    """The unit cube that stands for ``x ~ q``, and the target's density over that of q."""

    def __init__(self, target: Target, q: DiagonalGaussian):
        self.target, self.q = target, q
        self.location, self.scale = q.mean.cpu().numpy(), q.std.cpu().numpy()

    def transform(self, u: np.ndarray) -> np.ndarray:
        """The quantile of ``u: (D,)``."""
        return self.location + self.scale * ndtri(u)

    def log_likelihood(self, x: np.ndarray) -> np.ndarray:
        """``log R(x) − log q(x)``: ``(B, D) -> (B,)`` in nats."""
        points = torch.from_numpy(x).to(self.target.device)
        normal = torch.distributions.Normal(self.q.mean, self.q.std)
        with torch.no_grad():
            value = self.target.log_prob(points.to(self.target.dtype)).double() - normal.log_prob(points).sum(-1)
        return value.clamp(min=LOWEST).cpu().numpy()


def _dynesty() -> Any:
    """The package, which is optional."""
    try:
        return importlib.import_module("dynesty")
    except ImportError as error:
        raise ImportError("nested sampling needs the package dynesty: pip install 'amortized[nested]'") from error
