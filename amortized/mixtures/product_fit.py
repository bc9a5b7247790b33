"""Products of one-dimensional Gaussian mixtures from draws, by expectation-maximization of all coordinates at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch.nn.functional import pad

from amortized._types import Generator, Tensor
from amortized.mixtures.covariance import significant_scale_tril
from amortized.mixtures.product import ProductMixture

COMPONENTS = (1, 2, 3, 5, 8)
"""Sizes to try for a coordinate: growing by about a half, since the cost grows with the sum of the sizes."""

LEAST_GAIN = 0.002
"""Nats by which a larger size must raise the mean log density of a coordinate's held-out draws: less is noise."""

KMEANS_ROUNDS = 6
"""Rounds of k-means before expectation-maximization; the first only assigns draws to the quantiles."""

FEWEST_DRAWS = 16
"""Half of them fit: eight are the fewest that give a mean and a std a coordinate."""


class ProductFit(NamedTuple):
    """A fitted ``product``, and the mean log density in nats of the half of the draws that judged it."""

    product: ProductMixture
    held_out: float


class _Tables(NamedTuple):
    """Weights, means and stds of every coordinate, ``(J, D)``: J first, so that a coordinate is a column."""

    weights: Tensor
    means: Tensor
    stds: Tensor

    def components(self, u: Tensor) -> Tensor:
        """``log w N(u_i; m, s²)`` of every component: ``(N, D) -> (J, N, D)``."""
        log_scale = self.weights.log() - self.stds.log() - 0.5 * math.log(2 * math.pi)
        precision = (math.sqrt(0.5) / self.stds)[:, None]
        return log_scale[:, None] - (u * precision - self.means[:, None] * precision).square()


def _maximize(u: Tensor, responsibility: Tensor) -> _Tables:
    """Moments of each component, as if two more draws with ``1 / J`` of its coordinate's std had been seen."""
    size, count, _ = responsibility.shape
    mass = responsibility.sum(1)
    means = (responsibility * u).sum(1) / mass.clamp(min=1e-12)
    squares = (responsibility * u.square()).sum(1)
    spread = (squares - mass * means.square()).clamp(min=0.0)
    width = (u.square().mean(0) - u.mean(0).square()) / size**2
    prior = 2 * width.clamp(min=1e-24)
    return _Tables(mass / count, means, ((spread + prior) / (mass + 2)).sqrt())


def _improved(u: Tensor, tables: _Tables, iterations: int) -> _Tables:
    """Expectation-maximization of all coordinates at once."""
    for _ in range(iterations):
        joint = tables.components(u)
        share = (joint - joint.amax(0)).exp_()
        tables = _maximize(u, share.div_(share.sum(0)))
    return tables


def _grouped(u: Tensor, size: int) -> _Tables:
    """The mixtures of the groups that k-means finds, from the quantiles of every coordinate."""
    place = ((torch.arange(size, device=u.device) + 0.5) / size * len(u)).long()
    centres = u.sort(0).values[place]
    rank = torch.arange(size, device=u.device)[:, None, None]
    owner = torch.ones(1, *u.shape, dtype=u.dtype, device=u.device)
    for _ in range(KMEANS_ROUNDS if size > 1 else 0):
        owner = (rank == (u - centres[:, None]).abs().argmin(0)).to(u.dtype)
        mass = owner.sum(1)
        centres = torch.where(mass > 0, (owner * u).sum(1) / mass.clamp(min=1), centres)
    return _maximize(u, owner)


def _chosen(train: Tensor, judge: Tensor, first: _Tables, sizes: list[int], iterations: int) -> tuple[_Tables, float]:
    """The mixture of every coordinate, larger as long as ``judge`` gains, and the mean log density of ``judge``."""
    largest = max(sizes)
    value = first.components(judge)[0]
    filler = zip(first, (0.0, 0.0, 1.0), strict=True)
    best = _Tables(*(pad(table, (0, 0, 0, largest - 1), value=fill) for table, fill in filler))
    going = torch.arange(train.shape[1], device=train.device)
    for size in (size for size in sizes if size <= max(len(train) // 16, 1)):
        candidate = _improved(train[:, going], _grouped(train[:, going], size), iterations if size > 1 else 0)
        gain = candidate.components(judge[:, going]).logsumexp(0) - value[:, going]
        wins = gain.mean(0) > torch.clamp(2 * gain.std(0) / math.sqrt(len(judge)), min=LEAST_GAIN)
        if size > 1:
            going, gain, candidate = going[wins], gain[:, wins], _Tables(*(table[:, wins] for table in candidate))
            wins = wins[wins]
        for table, new in zip(best, candidate, strict=True):
            table[:size, going[wins]] = new[:, wins]
        value[:, going[wins]] += gain[:, wins]
        if going.numel() == 0:
            break
    used = int((best.weights > 0).sum(0).max())
    return _Tables(*(table[:used] for table in best)), float(value.sum(-1).mean())


def _refined(u: Tensor, tables: _Tables, iterations: int) -> _Tables:
    """Fits to all draws: expectation-maximization where a coordinate has several components, else its moments."""
    several = (tables.weights > 0).sum(0) > 1
    result = _Tables(*(table.clone() for table in tables))
    moments = _improved(u[:, several], _Tables(*(table[:, several] for table in tables)), iterations)
    single = _grouped(u[:, ~several], 1)
    for table, many, one in zip(result, moments, single, strict=True):
        table[:, several] = many
        table[:1, ~several] = one
    return result


def fit_product(
    x: Tensor, generator: Generator | None, components: tuple[int, ...] = COMPONENTS, iterations: int = 20
) -> ProductFit:
    """The product of one-dimensional mixtures fitted to draws: its axes, and the mixture along each.

    The axes are the coordinates, or those of ``significant_scale_tril`` where held-out draws are likelier with them.
    Half of the draws fit, the other half judge. A coordinate gets more components as long as each size gains 0.002
    nats and two standard errors. The best is then fitted to all draws.

    Args:
        x: draws ``(N, D)``.
        generator: source of randomness.
        components: sizes to try in each coordinate, growing.
        iterations: of expectation-maximization for each size; half as many on all draws.

    Raises:
        ValueError: for fewer than sixteen draws.

    >>> generator = torch.Generator().manual_seed(0)
    >>> x = torch.randn(400, 3, generator=generator) + 20 * (torch.rand(400, 3, generator=generator) < 0.25)
    >>> product = fit_product(x, generator).product
    >>> [round(share, 1) for share in (product.weights * (product.means > 1)).sum(-1).tolist()]
    [0.2, 0.2, 0.3]
    """
    x = _shuffled(x, generator)
    shift, factor = x.mean(0), significant_scale_tril(x)
    plain = x.std(0).clamp(min=1e-300).diag()
    half, sizes = len(x) // 2, [size for size in components if size > 1]
    best: tuple[float, Tensor, Tensor, _Tables] | None = None
    for axes in [plain] if torch.equal(factor, factor.diagonal().diag()) else [plain, factor]:
        u = torch.linalg.solve_triangular(axes, (x - shift).mT, upper=False).mT
        tables, value = _chosen(u[:half], u[half:], _grouped(u[:half], 1), sizes, iterations)
        value -= float(axes.diagonal().log().sum())
        if best is None or value > best[0]:
            best = value, axes, u, tables
    assert best is not None
    value, axes, u, tables = best
    return ProductFit(_product(_refined(u, tables, iterations // 2), shift, axes), value)


def correct_product(
    u: Tensor, generator: Generator | None, components: tuple[int, ...] = COMPONENTS, iterations: int = 20
) -> ProductFit:
    """The product fitted to draws that should be N(0, I): a coordinate changes only where held-out draws ask for it.

    With fewer draws than coordinates, the noise of D means and stds would outweigh what they correct. The mean and the
    std of the law become its shift and its diagonal scale.

    Args:
        u: draws ``(N, D)``.
        generator: source of randomness.
        components: sizes to try in each coordinate, growing.
        iterations: of expectation-maximization for each size; half as many on all draws.

    Raises:
        ValueError: for fewer than sixteen draws.

    >>> u = torch.randn(400, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    >>> u[:, 2] = 5 + 3 * u[:, 2]
    >>> correct_product(u, torch.Generator().manual_seed(1)).product.shift[:2].tolist()
    [0.0, 0.0]
    """
    u = _shuffled(u, generator)
    half = len(u) // 2
    standard = _Tables(*(torch.full_like(u[:1], value) for value in (1.0, 0.0, 1.0)))
    tables, value = _chosen(u[:half], u[half:], standard, list(components), iterations)
    changed = (tables.means != 0).any(0)
    refined = _refined(u, tables, iterations // 2)
    tables = _Tables(*(torch.where(changed, new, old) for new, old in zip(refined, tables, strict=True)))
    mean = (tables.weights * tables.means).sum(0)
    std = (tables.weights * (tables.stds.square() + (tables.means - mean).square())).sum(0).sqrt()
    scaled = _Tables(tables.weights, (tables.means - mean) / std, tables.stds / std)
    return ProductFit(_product(scaled, mean, std.diag()), value)


def _shuffled(x: Tensor, generator: Generator | None) -> Tensor:
    if x.shape[0] < FEWEST_DRAWS:
        raise ValueError(f"{x.shape[0]} draws cannot fit a product of mixtures: give at least {FEWEST_DRAWS}")
    return x[torch.randperm(x.shape[0], generator=generator, device=x.device)].double()


def _product(tables: _Tables, shift: Tensor, scale_tril: Tensor) -> ProductMixture:
    weights, means, stds = (table.mT.contiguous() for table in tables)
    return ProductMixture(weights, means, stds, shift, scale_tril)
