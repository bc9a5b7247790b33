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
"""How far rays go: twice the widest start of the first runs. From a known mode they end at about 60 of its stds, or at
six times a draw of it if that is farther. From the origin they end at 60 times a draw of N(0, I), about 60 √D away."""


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


RayLaw = Callable[[GaussianMixture, int, Generator | None], list[Rays]]
"""``(known modes, count, generator)`` to rays of several kinds, ``count`` in all."""


def geometric(low: float, high: float, like: Tensor) -> Tensor:
    """Radii ``(8,)`` from ``low`` to ``high``, each the same multiple of the one before."""
    return torch.logspace(math.log10(low), math.log10(high), RADII, dtype=like.dtype, device=like.device)


def normal_rays(known: GaussianMixture, count: int, generator: Generator | None) -> list[Rays]:
    """Rays with normal directions: from the origin, from known modes, and from centroids of known modes.

    - From the origin: the direction is a draw of N(0, I), and the radii are 0.5 to 60.
    - From a known mode: the direction is a draw of the mode's Gaussian, without its mean. The radii are 1.5 to 60 / √D,
      or to 6 if that is more. A draw is about √D stds long.
    - From the centroid of one, two or three near modes, or of all: the direction has the average covariance of the
      modes. The radii are 0.25 to 1.2 times the root mean square distance of the modes from their centre. Each mode has
      the same weight in that covariance: few modes span too few axes for a covariance of their means.

    A centroid of modes is often nearer to an unknown mode than the known modes are. A ray then meets it more often:
    the share of a sphere that a ball covers falls with a power of the distance that grows with D.

    Args:
        known: Gaussians at the known modes.
        count: rays in all.
        generator: source of randomness.
    """
    means, num_modes = known.means, len(known.means)
    noise = torch.randn(count, means.shape[1], generator=generator, dtype=means.dtype, device=means.device)
    origin, around, between = noise.tensor_split([count // 8, count // 4] if num_modes > 1 else [count // 4, count])
    owner = torch.randint(num_modes, (len(around),), generator=generator, device=means.device)
    turned = torch.einsum("nij,nj->ni", known.scale_trils[owner], around)
    rays = [
        Rays(torch.zeros_like(origin), origin, geometric(0.5, FARTHEST, noise)),
        Rays(means[owner], turned, geometric(1.5, max(6.0, FARTHEST / means.shape[1] ** 0.5), noise)),
    ]
    if num_modes > 1:
        scale_tril = safe_cholesky((known.scale_trils @ known.scale_trils.mT).mean(0))
        white = torch.linalg.solve_triangular(scale_tril, means.mT, upper=False).mT
        rank = torch.cdist(white, white).argsort(1).argsort(1)
        owner = torch.randint(num_modes, (len(between), 1), generator=generator, device=means.device)
        sizes = torch.tensor([1, min(2, num_modes), min(3, num_modes), num_modes], device=means.device)
        size = sizes[torch.randint(4, (len(between), 1), generator=generator, device=means.device)]
        share = (rank[owner[:, 0]] < size).to(means) / size
        distance = (white - white.mean(0)).square().mean().sqrt()
        rays.append(Rays(share @ means, distance * (between @ scale_tril.mT), geometric(0.25, 1.2, noise)))
    return rays


def cube_rays(draws: Tensor, scale_tril: Tensor, seed: int) -> RayLaw:
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
