"""A small mixture of full-covariance Gaussians: density, score, draws, affine maps, and its fit to draws."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch

from amortized._types import Generator, Tensor

SHRINKAGES = (1.0, 1e-2, 1e-4, 1e-7, 1e-10)
"""Parts of the identity in a correlation matrix, largest first: the smallest that can be factored is used."""

KMEANS_ROUNDS = 5
"""Rounds of k-means before expectation-maximization, which moves the components on."""

FEWEST_DRAWS_OF_A_COMPONENT = 2.0
"""A component with fewer draws has no spread of its own, and is dropped."""

LEAST_GAIN = 1e-3
"""Nats by which a larger mixture must raise the mean log density of held-out draws: less is noise."""


@dataclass(frozen=True)
class GaussianMixture:
    """A mixture of Gaussians, ``q(x) = Σ_k w_k N(x; m_k, L_k L_kᵀ)``.

    Args:
        weights: w, ``(M,)``; where they do not sum to 1, ``log_prob`` is that of a density of another mass.
        means: m, ``(M, D)``.
        scale_trils: L, ``(M, D, D)``, lower-triangular.

    >>> two = GaussianMixture(torch.tensor([0.5, 0.5]), torch.tensor([[0.0], [4.0]]), torch.ones(2, 1, 1))
    >>> two.sample(5, torch.Generator().manual_seed(0)).shape
    torch.Size([5, 1])
    """

    weights: Tensor
    means: Tensor
    scale_trils: Tensor

    def whiten(self, x: Tensor) -> Tensor:
        """``L_k⁻¹ (x − m_k)`` of every component: ``(N, D) -> (M, D, N)``."""
        centred = (x.to(self.means.dtype) - self.means[:, None]).mT
        return torch.linalg.solve_triangular(self.scale_trils, centred, upper=False)

    def component_log_prob(self, x: Tensor) -> Tensor:
        """``log w_k N(x; m_k, C_k)``: ``(N, D) -> (M, N)`` in nats."""
        constant = self.log_normalizers()
        return constant[:, None] - 0.5 * self.whiten(x).square().sum(1)

    def log_normalizers(self) -> Tensor:
        """``log w_k − ½ log det 2πC_k``: ``(M,)``."""
        dim = self.means.shape[1]
        log_det = self.scale_trils.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return self.weights.log() - log_det - 0.5 * dim * math.log(2 * math.pi)

    def log_prob(self, x: Tensor) -> Tensor:
        """``log q(x)``: ``(N, D) -> (N,)`` in nats."""
        return self.component_log_prob(x).logsumexp(0)

    def log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``log q(x)`` and ``∇ log q(x)``: ``(N, D) -> (N,), (N, D)``, in closed form."""
        whitened = self.whiten(x)
        joint = self.log_normalizers()[:, None] - 0.5 * whitened.square().sum(1)
        scores = -torch.linalg.solve_triangular(self.scale_trils.mT, whitened, upper=True)
        return joint.logsumexp(0), torch.einsum("mn,mdn->nd", joint.softmax(0), scores)

    def sample(self, count: int, generator: Generator | None) -> Tensor:
        """``(count, D)`` independent draws."""
        device, dtype = self.means.device, self.means.dtype
        component = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(count, self.means.shape[1], generator=generator, dtype=dtype, device=device)
        x = torch.empty_like(noise)
        for index in component.unique().tolist():
            rows = component == index
            x[rows] = self.means[index] + noise[rows] @ self.scale_trils[index].mT
        return x

    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean ``(D,)`` and covariance ``(D, D)`` of the whole mixture."""
        mean = self.weights @ self.means
        factors = torch.cat([self.scale_trils, (self.means - mean)[:, :, None]], -1)
        return mean, torch.einsum("m,mij,mkj->ik", self.weights, factors, factors)

    def affine(self, shift: Tensor, scale_tril: Tensor) -> GaussianMixture:
        """The mixture of ``shift + scale_tril @ z`` where z follows this one."""
        return GaussianMixture(self.weights, shift + self.means @ scale_tril.mT, scale_tril @ self.scale_trils)

    def inverse_affine(self, shift: Tensor, scale_tril: Tensor) -> GaussianMixture:
        """The mixture of ``scale_tril⁻¹ (x − shift)`` where x follows this one."""
        means = torch.linalg.solve_triangular(scale_tril, (self.means - shift).mT, upper=False).mT
        return GaussianMixture(
            self.weights, means, torch.linalg.solve_triangular(scale_tril, self.scale_trils, upper=False)
        )

    def widened(self, scales: tuple[float, ...], shares: tuple[float, ...]) -> GaussianMixture:
        """Copies of every component, its stds times each of ``scales``, with weights in proportion to ``shares``."""
        factor = torch.tensor(scales, dtype=self.means.dtype, device=self.means.device)
        share = torch.tensor(shares, dtype=self.means.dtype, device=self.means.device)
        return GaussianMixture(
            (share[:, None] * self.weights).flatten() / share.sum(),
            self.means.repeat(len(scales), 1),
            (factor[:, None, None, None] * self.scale_trils).flatten(0, 1),
        )


def mixture_of(mixtures: list[GaussianMixture], shares: list[float]) -> GaussianMixture:
    """The mixture that draws from the i-th of ``mixtures`` with probability proportional to ``shares[i]``."""
    total = sum(shares)
    return GaussianMixture(
        torch.cat([mixture.weights * (share / total) for mixture, share in zip(mixtures, shares, strict=True)]),
        torch.cat([mixture.means for mixture in mixtures]),
        torch.cat([mixture.scale_trils for mixture in mixtures]),
    )


def safe_cholesky(covariance: Tensor) -> Tensor:
    """Lower factors of covariances ``(..., D, D)``, also of those that are not positive definite.

    The correlation matrix is shrunk towards I by 1e-10, 1e-7, 1e-4, 1e-2 or 1: the least that can be factored.
    """
    scale = covariance.diagonal(dim1=-2, dim2=-1).clamp(min=1e-300).sqrt()
    correlation = covariance / (scale[..., :, None] * scale[..., None, :])
    identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype, device=covariance.device)
    factor = identity.expand_as(correlation)
    for shrinkage in SHRINKAGES:
        candidate, failed = torch.linalg.cholesky_ex((1 - shrinkage) * correlation + shrinkage * identity)
        usable = (failed == 0) & candidate.isfinite().all(-1).all(-1)
        factor = torch.where(usable[..., None, None], candidate, factor)
    return scale[..., :, None] * factor


def _seeds(x: Tensor, count: int, generator: Generator | None) -> Tensor:
    """First centres by k-means++: each far from those before. Arthur and Vassilvitskii (2007)."""
    chosen = torch.randint(x.shape[0], (1,), generator=generator, device=x.device)
    distance = torch.full((x.shape[0],), torch.inf, dtype=x.dtype, device=x.device)
    for _ in range(count - 1):
        distance = torch.minimum(distance, (x - x[chosen[-1]]).square().sum(-1))
        chosen = torch.cat([chosen, torch.multinomial(distance + 1e-12, 1, generator=generator)])
    return x[chosen]


def _maximize(x: Tensor, responsibility: Tensor, prior: Tensor | None) -> GaussianMixture:
    """Moments of each component, as if D + 2 more draws with covariance ``prior: (M, D, D)`` had been seen.

    Without a ``prior`` these draws are as wide as the others, but uncorrelated.
    """
    count, dim = x.shape
    components = responsibility.shape[0]
    mass = responsibility.sum(-1).clamp(min=1e-12)
    means = (responsibility @ x) / mass[:, None]
    centred = x - means[:, None]
    covariance = centred.mT @ (responsibility[:, :, None] * centred) / mass[:, None, None]
    keep = (mass / (mass + dim + 2.0))[:, None, None]
    if prior is None:
        floor = 1e-12 * torch.eye(dim, dtype=x.dtype, device=x.device) * x.var(0)
        prior = torch.diag_embed(covariance.diagonal(dim1=-2, dim2=-1)) + floor
    weights = (mass + 1e-3) / (count + 1e-3 * components)
    return GaussianMixture(weights, means, safe_cholesky(keep * covariance + (1 - keep) * prior))


def _clusters(x: Tensor, count: int, generator: Generator | None) -> GaussianMixture:
    """The mixture of the clusters that k-means finds."""
    seeds = _seeds(x, count, generator)
    assignment = torch.ones(1, x.shape[0], dtype=x.dtype, device=x.device)
    for _ in range(KMEANS_ROUNDS if count > 1 else 0):
        owner = torch.cdist(x, seeds).argmin(-1)
        assignment = torch.nn.functional.one_hot(owner, count).T.to(x.dtype)
        seeds = (assignment @ x) / assignment.sum(-1).clamp(min=1)[:, None]
    return _maximize(x, assignment, None)


def _improved(x: Tensor, mixture: GaussianMixture, iterations: int) -> GaussianMixture:
    """Expectation-maximization with the first covariances as the prior; drops components of fewer than two draws."""
    prior = mixture.scale_trils @ mixture.scale_trils.mT
    for _ in range(iterations if mixture.weights.numel() > 1 else 0):
        mixture = _maximize(x, mixture.component_log_prob(x).softmax(0), prior)
        alive = mixture.weights * x.shape[0] >= FEWEST_DRAWS_OF_A_COMPONENT
        weights = mixture.weights[alive] / mixture.weights[alive].sum()
        mixture, prior = GaussianMixture(weights, mixture.means[alive], mixture.scale_trils[alive]), prior[alive]
    return mixture


class MixtureFit(NamedTuple):
    """A fitted ``mixture``, and the mean log density in nats of the half of the draws that judged it."""

    mixture: GaussianMixture
    held_out: float


def fit_mixture(
    x: Tensor,
    generator: Generator | None,
    components: tuple[int, ...] = (1, 2, 4, 8, 16, 32),
    initial: GaussianMixture | None = None,
    iterations: int = 20,
) -> MixtureFit:
    """The mixture fitted to draws by expectation-maximization, with its size chosen on held-out draws.

    Half of the draws fit, the other half judge. The best of them is then fitted to all draws.

    Args:
        x: draws ``(N, D)``.
        generator: source of randomness.
        components: sizes to try, in this order, until two in a row are no better.
        initial: a mixture to try before them.
        iterations: of expectation-maximization for each size; half as many on all draws.

    Raises:
        ValueError: for fewer than eight draws.

    >>> generator = torch.Generator().manual_seed(0)
    >>> x = torch.randn(400, 1, generator=generator) + 20 * (torch.arange(400)[:, None] < 100)
    >>> [round(weight, 2) for weight in sorted(fit_mixture(x, generator, (1, 2)).mixture.weights.tolist())]
    [0.25, 0.75]
    """
    if x.shape[0] < 8:
        raise ValueError(f"{x.shape[0]} draws cannot fit a mixture: give at least 8")
    x = x.double()
    shift = x.mean(0)
    scale_tril = safe_cholesky(torch.cov(x.T).reshape(x.shape[1], x.shape[1]))
    white = torch.linalg.solve_triangular(scale_tril, (x - shift).mT, upper=False).mT
    order = torch.randperm(x.shape[0], generator=generator, device=x.device)
    train, held_out = white[order[::2]], white[order[1::2]]
    best, misses = _clusters(train, 1, generator), 0
    best_value = float(best.log_prob(held_out).mean())
    starts = [] if initial is None else [initial.inverse_affine(shift, scale_tril)]
    for start in (*starts, *components):
        if isinstance(start, int):
            if start <= best.weights.numel() or start > train.shape[0] // 8 or misses >= 2:
                continue
            start = _clusters(train, start, generator)
        candidate = _improved(train, start, iterations)
        value = float(candidate.log_prob(held_out).mean())
        misses = misses + 1 if value < best_value + LEAST_GAIN else 0
        best, best_value = (candidate, value) if misses == 0 else (best, best_value)
    single = best.weights.numel() == 1
    best = _clusters(white, 1, generator) if single else _improved(white, best, iterations // 2)
    return MixtureFit(best.affine(shift, scale_tril), best_value - float(scale_tril.diagonal().log().sum()))
