"""The warm-up in hundreds of dimensions: one Gaussian from averaged Hessians, then HMC and products in its axes."""

from __future__ import annotations

from collections.abc import Callable

import torch

from amortized._types import Generator, Tensor
from amortized.mcmc.state import init
from amortized.mixtures.gaussian import GaussianMixture
from amortized.mixtures.product_fit import correct_product
from amortized.optimise.averaged_hessian import Gaussian, nearest_gaussian
from amortized.optimise.lbfgs import climb
from amortized.targets.base import Target
from amortized.warmup.modes import refuse_improper, starts
from amortized.warmup.polish import COVERED, Polish, Weighed
from amortized.warmup.record import WarmUp
from amortized.warmup.tempering import Search

LARGE = 500
FIRST_SCALE = 0.3


def _first_draws(tops: Tensor, gaussian: Gaussian, count: int, generator: Generator | None) -> Tensor:
    """Draws ``(count, D)`` of the Gaussian, in equal parts around its own mean and around tops far from all others."""
    kept = gaussian.mean[None]
    for top in tops:
        gap = torch.linalg.solve_triangular(gaussian.scale_tril, (kept - top).mT, upper=False).mT
        if bool((gap.square().mean(-1) > 0.25).all()):
            kept = torch.cat([kept, top[None]])
    rows = torch.arange(count, device=tops.device) % len(kept)
    noise = torch.randn(count, tops.shape[1], generator=generator, dtype=tops.dtype, device=tops.device)
    return kept[rows] + noise @ gaussian.scale_tril.mT


def _status(gaussian: Gaussian, weighed: Weighed) -> tuple[bool, str]:
    checks = weighed.shape < 0.7, weighed.moved < weighed.allowed, weighed.covered
    text = (
        f"many dimensions: one Gaussian with bound {gaussian.elbo:.2f}, HMC in its axes; log Z by importance "
        f"weights {weighed.evidence} with k-hat {weighed.shape:.2f} (should be below 0.7) and effective fraction "
        f"{weighed.fraction:.0%}; these move a draws' quantile by {weighed.moved:.2f} (should be below "
        f"{weighed.allowed:.2f}); the climbs met density {weighed.uncovered:.0f} nats above what the draws explain "
        f"(should be below {COVERED:.0f}); a mode that no start reached is invisible to these checks"
    )
    return all(checks), text


def many_dimensions(
    target: Target,
    draws: int,
    generator: Generator | None,
    stop: Callable[[], bool],
    say: Callable[[str], None],
) -> WarmUp:
    """Climbs, the nearest Gaussian at the best top, HMC in its axes from every top, and a product fitted to it.

    Wells along single axes get their weights from redrawn coordinates, as long as two tops differ in them. log Z is by
    importance weights of the product.
    """

    def density(x: Tensor) -> tuple[Tensor, Tensor]:
        value, score = target.log_prob_and_score(x.to(target.dtype))
        return value.double(), score.double()

    tops = climb(density, starts(target, 16 if target.dim <= LARGE else 4, generator), stop=stop)
    tops = type(tops)(*(field[tops.log_prob.argsort(descending=True)] for field in tops))
    refuse_improper(float(tops.log_prob[0]))
    say(f"{len(tops.x)} climbs to {float(tops.log_prob[0]):.1f}")
    gaussian = nearest_gaussian(density, tops.x[0], FIRST_SCALE, generator, stop=stop)
    say(f"nearest Gaussian with bound {gaussian.elbo:.2f}")
    modes = GaussianMixture(torch.ones_like(gaussian.mean[:1]), gaussian.mean[None], gaussian.scale_tril[None])
    search = Search(target, modes, gaussian.mean, gaussian.scale_tril, generator, stop)
    count = draws if target.dim <= LARGE else min(draws, 1024)
    first = search.white.whiten(_first_draws(tops.x, gaussian, count, generator))
    polish = Polish(search, tops, joint=False)
    state, weighed = polish.run(init(search.white, first))
    trustworthy, status = _status(gaussian, weighed)
    say(status)
    product = correct_product(state.x, generator).product.affine(search.shift, search.scale_tril)
    return WarmUp(
        draws=search.white.unwhiten(state.x),
        log_prob=state.log_prob - search.white.log_det,
        shift=product.shift,
        scale_tril=product.scale_tril,
        mixture=modes,
        product=product,
        log_evidence=weighed.evidence,
        trustworthy=trustworthy,
        status=status,
        target_calls=0,
        seconds=0.0,
        uncovered=weighed.uncovered,
    )
