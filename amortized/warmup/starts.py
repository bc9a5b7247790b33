"""Where optimisation runs and chains start: dispersed points at which the density is finite.

The two laws share no loop. Optimisation runs want starts of very different scales, and each start is moved in on its
own. Chains want starts of one scale, as Stan's, with a finite score too. Their draws must depend on the seed alone.
"""

from __future__ import annotations

import torch

from amortized._types import Generator, Tensor
from amortized.targets.base import Target

SCALES = (1.0, 3.0, 10.0, 30.0)
"""Stds of the starts, in turn, since the posterior's scale is unknown. Narrow modes need the screening as well: on five
Gaussians in 10 dimensions 47 of 48 runs from such starts ended in the widest one."""

HALVINGS = 12
"""Draws of one start at most, each with half the std of the one before: the last std is 1/2,048 of the first."""

CUBES, TRIES = 10, 64
"""Cubes tried, each half as wide as the one before, and points tried in each: the narrowest is [-0.004, 0.004]^D."""


def normal_starts(target: Target, count: int, generator: Generator | None) -> Tensor:
    """At most ``count`` points ``(S, D)`` drawn from N(0, s²) with s = 1, 3, 10, 30 in turn.

    Where its density is not finite, a point is drawn anew with half its s. After twelve draws in all it is left out.

    Raises:
        ValueError: where no point has a finite density.
    """
    scale = torch.tensor(SCALES, dtype=torch.float64, device=target.device).repeat(count)[:count, None]
    x = torch.zeros(count, target.dim, dtype=torch.float64, device=target.device)
    missing = torch.arange(count, device=target.device)
    for halving in range(HALVINGS):
        noise = torch.randn(missing.numel(), target.dim, generator=generator, dtype=torch.float64, device=target.device)
        x[missing] = noise * scale[missing] * 0.5**halving
        missing = missing[~(target.log_prob(x[missing].to(target.dtype)) > -torch.inf)]
        if missing.numel() == 0:
            break
    usable = torch.ones(count, dtype=torch.bool, device=target.device)
    usable[missing] = False
    if not bool(usable.any()):
        raise _nowhere_finite(
            f"the log density is -inf or NaN at all {HALVINGS * count} starting points tried, with standard deviations "
            f"from {SCALES[-1]} down to {SCALES[0] / 2 ** (HALVINGS - 1):.0e}"
        )
    return x[usable]


def uniform_starts(target: Target, count: int, seed: int) -> Tensor:
    """``count`` points ``(count, D)`` uniform in [-2, 2]^D, as Stan's, with finite density and score.

    The cube is halved as long as too few of its points are finite.

    Raises:
        ValueError: where too few are finite in the smallest cube too.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    half_width, tries = 2.0, max(TRIES, count)
    for _ in range(CUBES):
        uniform = torch.rand(tries, target.dim, generator=generator, dtype=target.dtype, device="cpu")
        points = (half_width * (2 * uniform - 1)).to(target.device)
        value, score = target.log_prob_and_score(points)
        finite = points[value.isfinite() & score.isfinite().all(-1)]
        if len(finite) >= count:
            return finite[:count]
        half_width /= 2
    raise _nowhere_finite(f"no {count} starts with a finite log density and score in {CUBES * tries} points tried")


def _nowhere_finite(found: str) -> ValueError:
    return ValueError(
        f"{found} around the origin of the unconstrained space. Check the model at one point by hand: the usual causes "
        "are data outside the support, NaN in the data, and a scale of zero"
    )
