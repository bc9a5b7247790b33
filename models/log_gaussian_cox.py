"""Where do saplings of pine stand dense? A log-Gaussian Cox process on a grid over a square plot.

    field ~ N(log 126 - 1.91 / 2, K),  K_ij = 1.91 exp(-33 |position_i - position_j|)
    factor: sum_i (count_i field_i - area exp(field_i)),  area = 1 / cells

The plot is the unit square and positions are those of the cells, so K is the same kernel on every grid; on the usual
one, 40 x 40, it is 1.91 exp(-|i - j| / (40 beta)), beta = 1 / 33, with i, j in cells. The factor is the Poisson
likelihood without its constants, -log(count!) and count · log(area). `data(40, True)` makes `noise` the latent site,
with field = mean + K^{1/2} noise by the symmetric root; the evidence is the same.

K does not change when the plot is mirrored, so it falls into four blocks, for fields that are even or odd along each
direction: products with them cost a quarter of one with K^{-1/2}.
"""

import math
from pathlib import Path

import numpy as np
import pyro
import pyro.distributions as dist
import torch

REFERENCE = (
    "Moeller, Syversveen and Waagepetersen (1998), Log Gaussian Cox processes, Scand. J. Statistics 25(3), section 9; "
    "data of Kellomaki: models/data/README.md"
)

# Annealed importance sampling from the Laplace approximation, the mean of two runs: benchmarks/truths.py
LOG_EVIDENCE = (501.78, 0.03)
LOG_EVIDENCE_OF_GRID = {
    8: (494.378, 0.006),
    16: (491.837, 0.010),
    20: (490.730, 0.011),
    32: (503.356, 0.015),
    40: LOG_EVIDENCE,
}

SCALE = 1.0  # from 4.4, the root of the posterior's mean square, exp(f) overflows on the way and training never starts

VARIANCE = 1.91
INVERSE_LENGTH = 33.0
MEAN = math.log(126.0) - VARIANCE / 2

Blocks = tuple[torch.Tensor, ...]


def data(grid: int = 40, whitened: bool = False) -> tuple[torch.Tensor, torch.Tensor, Blocks, torch.Tensor, bool]:
    """Saplings in each cell ``(grid²,)``; the basis ``(grid, grid)`` of even, then odd, vectors along one direction;
    in it the four blocks of K^{-1/2}, or of K^{1/2} where whitened; log |K^{-1/2}|; and ``whitened`` itself.

    Raises ``ValueError`` for a grid that is no whole number from 2 on.
    """
    if not isinstance(grid, int) or grid < 2:
        raise ValueError(f"grid must be a whole number of cells from 2 on, got {grid!r}; write data(40)")
    metres = np.loadtxt(Path(__file__).parent / "data" / "finpines.csv", delimiter=",", skiprows=1)
    cell = np.floor((metres - [-5.0, -8.0]) / 10.0 * grid).astype(int).clip(0, grid - 1)
    count = np.bincount(cell @ [grid, 1], minlength=grid**2)
    axis = torch.arange(grid, dtype=torch.float64) / grid
    position = torch.cartesian_prod(axis, axis)
    covariance = VARIANCE * torch.exp(-INVERSE_LENGTH * (position[:, None] - position).norm(dim=-1))
    basis = mirror_basis(grid)
    spectra = [torch.linalg.eigh(block) for block in covariance_blocks(basis, covariance)]
    power = 0.5 if whitened else -0.5
    blocks = tuple(((vectors * values**power) @ vectors.T).float() for values, vectors in spectra)
    log_determinant = -0.5 * torch.cat([values for values, _ in spectra]).log().sum()
    return torch.tensor(count, dtype=torch.float32), basis.float(), blocks, log_determinant.float(), whitened


def model(
    count: torch.Tensor, basis: torch.Tensor, blocks: Blocks, log_determinant: torch.Tensor, whitened: bool
) -> None:
    if whitened:
        noise = pyro.sample("noise", dist.Normal(0.0, 1.0).expand([len(count)]).to_event(1))
        field = pyro.deterministic("field", MEAN + multiply(basis, blocks, noise), event_dim=1)
    else:
        field = pyro.sample("field", Field(basis, blocks, log_determinant))
    pyro.factor("count", (count * field - field.exp() / len(count)).sum(-1))


def log_evidence(count: torch.Tensor, *rest: object) -> tuple[float, float] | None:
    """``(value, standard error)`` in nats for a grid where it was computed, whitened or not; else ``None``."""
    return LOG_EVIDENCE_OF_GRID.get(math.isqrt(len(count)))


class Field(dist.TorchDistribution):
    """N(MEAN, K) by the blocks of K^{-1/2}: ``log p = -½ |K^{-1/2} (f - MEAN)|² + log |K^{-1/2}| - ½ D log 2π``."""

    support = dist.constraints.real_vector
    arg_constraints = {}

    def __init__(self, basis: torch.Tensor, blocks: Blocks, log_determinant: torch.Tensor):
        self.basis, self.blocks, self.log_determinant = basis, blocks, log_determinant
        super().__init__(event_shape=(len(basis) ** 2,), validate_args=False)

    def sample(self, sample_shape: tuple[int, ...] = ()) -> torch.Tensor:
        roots = tuple(torch.linalg.inv(block) for block in self.blocks)
        return MEAN + multiply(self.basis, roots, torch.randn(*sample_shape, *self.event_shape).to(self.basis))

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        parts = zip(even_and_odd(self.basis, value - MEAN), self.blocks, strict=True)
        squared = sum((part @ block).square().sum(-1) for part, block in parts)
        return self.log_determinant - 0.5 * squared - len(self.basis) ** 2 / 2 * math.log(2 * math.pi)


def mirror_basis(grid: int) -> torch.Tensor:
    """Orthonormal rows ``(grid, grid)``, float64: those equal to their mirror image, then those that change sign."""
    unit = torch.eye(grid, dtype=torch.float64)
    mirrored, half = unit.flip(0), grid // 2
    even, odd = ((unit + sign * mirrored)[:half] / math.sqrt(2.0) for sign in (1.0, -1.0))
    return torch.cat([even, unit[half : grid - half], odd])


def even_and_odd(basis: torch.Tensor, vector: torch.Tensor) -> list[torch.Tensor]:
    """A field ``(..., grid²)`` in its four parities, each ``(..., cells)``: even or odd along the first, the second."""
    grid, even = len(basis), (len(basis) + 1) // 2
    rotated = basis @ vector.unflatten(-1, (grid, grid)) @ basis.T
    return [part.flatten(-2) for rows in rotated.tensor_split([even], -2) for part in rows.tensor_split([even], -1)]


def multiply(basis: torch.Tensor, blocks: Blocks, vector: torch.Tensor) -> torch.Tensor:
    """The symmetric matrix of these blocks times a field: ``(..., grid²)``."""
    even, odd = (len(basis) + 1) // 2, len(basis) // 2
    sides = [(even, even), (even, odd), (odd, even), (odd, odd)]
    parts = zip(even_and_odd(basis, vector), blocks, sides, strict=True)
    products = [(part @ block).unflatten(-1, side) for part, block, side in parts]
    rotated = torch.cat([torch.cat(products[:2], -1), torch.cat(products[2:], -1)], -2)
    return (basis.T @ rotated @ basis).flatten(-2)


def covariance_blocks(basis: torch.Tensor, covariance: torch.Tensor) -> list[torch.Tensor]:
    """The diagonal blocks of a covariance ``(grid², grid²)`` that mirroring leaves alone; between them it is 0."""
    half_rotated = even_and_odd(basis, covariance)
    return [even_and_odd(basis, part.T)[index] for index, part in enumerate(half_rotated)]
