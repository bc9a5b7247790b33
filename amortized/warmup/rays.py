"""Where the screening looks: points along rays, by two laws that share nothing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor
from amortized.mixtures.gaussian import GaussianMixture, safe_cholesky

RADII = 8
"""Points of a ray: a radius is at most about twice the one before, so that no basin as wide is passed over."""

FARTHEST = 60.0
"""Stds from a known mode, or from the origin, at which rays end: twice the widest start of the first runs."""


class Rays(NamedTuple):
    """N rays of points ``centre + radius · direction``.

    Args:
        centre: ``(N, D)``.
        direction: ``(N, D)``, of any length.
        radii: ``(8,)``, the same for all rays.
    """

    centre: Tensor
    direction: Tensor
    radii: Tensor

    def points(self) -> Tensor:
        """The points, ``(N, 8, D)``."""
        return self.centre[:, None] + self.radii[:, None] * self.direction[:, None]


Law = Callable[[GaussianMixture, int, Generator | None], list[Rays]]
"""``(known modes, count, generator)`` to rays of several kinds, ``count`` in all."""


def geometric(low: float, high: float, like: Tensor) -> Tensor:
    """Radii ``(8,)`` from ``low`` to ``high``, each the same multiple of the one before."""
    return torch.logspace(math.log10(low), math.log10(high), RADII, dtype=like.dtype, device=like.device)


def normal_rays(known: GaussianMixture, count: int, generator: Generator | None) -> list[Rays]:
    """Rays with normal directions: from the origin, from known modes, and from centroids of known modes.

    - From the origin: N(0, I), 0.5 to 60 times as long.
    - From a mode: the mode's Gaussian, from 1.5 times as long to 60 stds away.
    - From the centroid of one, two or three near modes, or of all: the average shape of a mode, at 0.25 to 1.2 times
      the root mean square distance of the modes from their centre. Few modes span too few axes for another shape.

    Centroids lie nearer to an unknown mode than known modes do. That counts, since a ball's share of a sphere falls
    with the power D of the distance.

    Args:
        known: Gaussians at the known modes.
        count: rays in all.
        generator: source of randomness.
    """
    means, modes = known.means, len(known.means)
    noise = torch.randn(count, means.shape[1], generator=generator, dtype=means.dtype, device=means.device)
    origin, around, between = noise.tensor_split([count // 8, count // 4] if modes > 1 else [count // 4, count])
    owner = torch.randint(modes, (len(around),), generator=generator, device=means.device)
    turned = torch.einsum("nij,nj->ni", known.scale_trils[owner], around)
    rays = [
        Rays(torch.zeros_like(origin), origin, geometric(0.5, 60.0, noise)),
        Rays(means[owner], turned, geometric(1.5, max(6.0, FARTHEST / means.shape[1] ** 0.5), noise)),
    ]
    if modes > 1:
        scale_tril = safe_cholesky((known.scale_trils @ known.scale_trils.mT).mean(0))
        white = torch.linalg.solve_triangular(scale_tril, means.mT, upper=False).mT
        rank = torch.cdist(white, white).argsort(1).argsort(1)
        owner = torch.randint(modes, (len(between), 1), generator=generator, device=means.device)
        sizes = torch.tensor([1, min(2, modes), min(3, modes), modes], device=means.device)
        size = sizes[torch.randint(4, (len(between), 1), generator=generator, device=means.device)]
        share = (rank[owner[:, 0]] < size).to(means) / size
        distance = (white - white.mean(0)).square().mean().sqrt()
        rays.append(Rays(share @ means, distance * (between @ scale_tril.mT), geometric(0.25, 1.2, noise)))
    return rays


def cube_rays(draws: Tensor, scale_tril: Tensor, seed: int) -> Law:
    """A law of a Sobol sequence in a cube: around the origin, around draws, and between two draws.

    It shares nothing with ``normal_rays``, so that a search with it does not repeat the blind spots of the warm-up.

    Args:
        draws: ``(N, D)``; they take the place of known modes.
        scale_tril: the shape of the cube around draws, ``(D, D)``. Between two draws it has a fifth to twice their
            distance.
        seed: of the sequence.
    """
    sobol = torch.quasirandom.SobolEngine(draws.shape[1], scramble=True, seed=seed)

    def law(known: GaussianMixture, count: int, generator: Generator | None) -> list[Rays]:
        cube = (2 * sobol.draw(count, dtype=torch.float64).to(draws.device) - 1) * 3**0.5
        origin, around, between = cube.tensor_split([count // 4, count // 2])
        rows = torch.randint(len(draws), (len(around) + 2 * len(between),), generator=generator, device=draws.device)
        centres, ends = draws[rows[: len(around)]], draws[rows[len(around) :]].reshape(2, len(between), -1)
        gap = (ends[0] - ends[1]) / draws.shape[1] ** 0.5
        apart = torch.linalg.solve_triangular(scale_tril, gap.mT, upper=False).norm(dim=0)[:, None]
        return [
            Rays(torch.zeros_like(origin), origin, geometric(0.7, 90.0, cube)),
            Rays(centres, around @ scale_tril.mT, geometric(1.0, 90.0, cube)),
            Rays(ends.mean(0), apart * (between @ scale_tril.mT), geometric(0.2, 2.0, cube)),
        ]

    return law


def explained(known: GaussianMixture, rays: Rays) -> Tensor:
    """Log density of the mixture along every ray, ``(N, 8)``: a quadratic in the radius for each component."""
    from_mode = known.whiten(rays.centre)
    along = torch.linalg.solve_triangular(known.scale_trils, rays.direction.mT, upper=False)
    parts = from_mode.square().sum(1), (from_mode * along).sum(1), along.square().sum(1)
    square = parts[0][..., None] + 2 * rays.radii * parts[1][..., None] + rays.radii.square() * parts[2][..., None]
    return (known.log_normalizers()[:, None, None] - 0.5 * square).logsumexp(0)
