"""Nested sampling by `dynesty`, from a broad Gaussian that stands for the prior."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.special import ndtri

from amortized._types import Tensor
from amortized.baselines.counts import check_counts
from amortized.baselines.reference import broad_gaussian
from amortized.baselines.targets import as_target
from amortized.baselines.together import Together
from amortized.estimate import Estimate
from amortized.mcmc.resampling import effective_sample_size, systematic
from amortized.posterior_draws import Draws
from amortized.targets.base import Target

BATCH = 64
"""Points that are moved at once, at most an eighth of the live ones: those behind in the queue may come too late."""

LOWEST = -1e300
"""What dynesty is told where the density is zero: it wants finite numbers."""


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

    q: a broad Gaussian, of the model's prior where that can be drawn from, else of short pilot chains, one and a half
    times as wide again. New points come by random walks within a shell up to 20 dimensions, by slices above. The draws
    are resampled from its weighted points to equal weights; ``attributes``: ``ess`` of those weights, ``iterations``,
    ``efficiency``, ``information`` in nats. ``max_calls`` ends it early; then ``attributes["finished"]`` is 0.

    Raises ``ImportError`` without dynesty, ``ValueError`` where no start with a finite density is found.
    Skilling (2006), Bayesian Analysis 1(4); Speagle, arXiv 1904.02180.
    """
    dynesty = _dynesty()
    check_counts({"live_points": (live_points, 2), "draws": (draws, 1)})
    started, target = time.perf_counter(), as_target(target, args, kwargs)
    calls = target.calls
    cube = Cube(target, *broad_gaussian(target, seed))
    pool = Together(cube.log_likelihood, size=max(1, min(BATCH, live_points // 8)))
    sampler = dynesty.NestedSampler(
        pool.call,
        cube.transform,
        target.dim,
        nlive=live_points,
        rstate=np.random.default_rng(seed),
        sample="rwalk" if target.dim <= 20 else "rslice",
        pool=pool,
        queue_size=pool.size,
        use_pool={"prior_transform": False},
    )
    sampler.run_nested(maxcall=max_calls, print_progress=progress)
    found: Any = sampler.results
    log_weights = torch.from_numpy(np.asarray(found.logwt))
    generator = torch.Generator("cpu").manual_seed(seed)
    rows = systematic(log_weights, draws, generator)[torch.randperm(draws, generator=generator)]
    states = torch.from_numpy(found.samples)[rows].to(target.device, target.dtype)
    return Draws(
        sites=target.constrain(states),
        method="nested",
        states=states,
        target=target,
        log_evidence=Estimate(float(found.logz[-1]), float(found.logzerr[-1])),
        seconds=time.perf_counter() - started,
        target_calls=target.calls - calls,
        attributes={
            "ess": float(effective_sample_size(log_weights)),
            "iterations": int(found.niter),
            "efficiency": float(found.eff) / 100,
            "information": float(found.information[-1]),
            "finished": int(max_calls is None or target.calls - calls < max_calls),
        },
    )


class Cube:
    """The unit cube that stands for ``x ~ N(mean, deviation²)``, and the target's density over it."""

    def __init__(self, target: Target, mean: Tensor, deviation: Tensor):
        self.target = target
        self.mean, self.deviation = mean, deviation
        self.location, self.scale = mean.cpu().numpy(), deviation.cpu().numpy()

    def transform(self, u: np.ndarray) -> np.ndarray:
        """The quantile of ``u: (D,)``."""
        return self.location + self.scale * ndtri(u)

    def log_likelihood(self, x: np.ndarray) -> np.ndarray:
        """``log R(x) − log q(x)``: ``(B, D) -> (B,)`` in nats."""
        points = torch.from_numpy(x).to(self.target.device)
        normal = torch.distributions.Normal(self.mean, self.deviation)
        with torch.no_grad():
            value = self.target.log_prob(points.to(self.target.dtype)).double() - normal.log_prob(points).sum(-1)
        return value.clamp(min=LOWEST).cpu().numpy()


def _dynesty() -> Any:
    try:
        return importlib.import_module("dynesty")
    except ImportError as error:
        raise ImportError("nested sampling needs the package dynesty: pip install 'amortized[nested]'") from error
