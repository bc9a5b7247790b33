"""The warm-up from end to end."""

from __future__ import annotations

import time
from dataclasses import replace

import torch

from amortized._types import Generator, Tensor
from amortized.mixtures.covariance import significant_scale_tril
from amortized.mixtures.gaussian import GaussianMixture
from amortized.mixtures.product import ProductMixture
from amortized.mixtures.product_fit import fit_product
from amortized.targets.base import Target
from amortized.warmup.checks import verdict
from amortized.warmup.high_dimension import many_dimensions
from amortized.warmup.modes import find_modes, starts
from amortized.warmup.polish import Polish
from amortized.warmup.record import WarmUp
from amortized.warmup.screening import Screening, normal_rays
from amortized.warmup.tempering import Search, wide_gaussian

MANY = 100
STARTS = 48


def _fitted(
    search: Search, polish: Polish, draws: Tensor, generator: Generator | None
) -> tuple[GaussianMixture, ProductMixture | None, Tensor, Tensor]:
    """The mixture, the product if it won, and the affine map that whitens the draws."""
    mixture = polish.mixture.affine(search.shift, search.scale_tril)
    if polish.product is None:
        return mixture, None, draws.double().mean(0), significant_scale_tril(draws)
    product = fit_product(draws, generator).product
    return mixture, product, product.shift, product.scale_tril


@torch.no_grad()
def warm_up(
    target: Target,
    *,
    draws: int = 2048,
    generator: Generator | None = None,
    max_calls: int = 300_000,
    max_seconds: float = 40.0,
    progress: bool = False,
) -> WarmUp:
    """Draws, scale, modes, their weights and log Z of ``target``, from its density and score alone.

    Dispersed starts climb to the modes (BFGS, with the best Gaussian on the way), then points that these do not explain
    (`Screening`); two tempered SMC runs, from these Gaussians and from one wide Gaussian, weigh them; HMC and jumps
    proposed by a fitted mixture polish the draws; its importance weights give log Z again. Runs that disagree are
    repeated with twice the particles while ``max_calls``, without the screening's, and ``max_seconds`` last. A product
    of one-dimensional mixtures stands for it where it explains unseen draws better. Over 100 dimensions
    `many_dimensions` does the work. Same seed, same draws, unless the clock ends the work; ``progress`` prints stages.

    >>> from amortized.targets.callable import DensityTarget
    >>> target = DensityTarget(lambda x: -0.5 * ((x - 5.0) / 0.1).square().sum(-1), dim=2)
    >>> found = warm_up(target, draws=512, generator=torch.Generator().manual_seed(0))
    >>> found.draws.shape, found.trustworthy, bool((found.draws.mean(0) - 5.0).abs().max() < 0.02)
    (torch.Size([512, 2]), True, True)
    """
    began, calls_before = time.perf_counter(), target.calls
    screening = Screening(target, normal_rays, max_seconds, generator)

    def spent() -> float:
        calls = (target.calls - screening.calls - calls_before) / max_calls
        return max(calls, (time.perf_counter() - began) / max_seconds)

    def say(text: str) -> None:
        if progress:
            print(f"warm-up: {text} ({target.calls - calls_before} calls, {time.perf_counter() - began:.1f} s)")

    if target.dim > MANY:
        found = many_dimensions(target, draws, generator, lambda: spent() > 0.6, say)
        return replace(found, target_calls=target.calls - calls_before, seconds=time.perf_counter() - began)
    modes, tops = find_modes(target, starts(target, STARTS, generator), screening, generator, lambda: spent() > 0.4)
    say(f"{modes.weights.numel()} modes")
    whole = wide_gaussian(modes, 1.0)
    search = Search(target, modes, whole.means[0], whole.scale_trils[0], generator, lambda: spent() > 0.8)
    particles = 512
    while True:
        before = spent()
        narrow, wide = search.two_runs(particles)
        tempering = spent() - before
        polish = Polish(search, tops)
        state, weighed = polish.run(search.pool(draws))
        search.mixture = polish.mixture
        trustworthy, evidence, status = verdict(narrow, wide, weighed, screening.cut, str(screening))
        say(status)
        if trustworthy or particles >= 2048 or 2 * spent() - before + tempering > 1.0:
            break
        particles *= 2
    x = search.white.unwhiten(state.x)
    mixture, product, shift, scale_tril = _fitted(search, polish, x, generator)
    log_prob = state.log_prob - search.white.log_det
    found = x, log_prob, shift, scale_tril, mixture, product, evidence, trustworthy, status
    return WarmUp(*found, target.calls - calls_before, time.perf_counter() - began, weighed.uncovered)
