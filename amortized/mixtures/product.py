"""Independent one-dimensional Gaussian mixtures along linear axes: density, draws, affine maps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from amortized._types import Generator, Tensor


@dataclass(frozen=True)
class ProductMixture:
    """The law of ``x = shift + scale_tril @ u`` where ``u ~ Π_i Σ_j w_ij N(m_ij, s_ij²)``.

    With J modes in each coordinate it has J^D modes, from 3 D J parameters.

    Args:
        weights: w, ``(D, J)``; a weight may be 0.
        means: m, ``(D, J)``.
        stds: s, ``(D, J)``.
        shift: ``(D,)``.
        scale_tril: ``(D, D)``, lower-triangular.

    >>> line = torch.tensor([[-3.0, 3.0]]).repeat(4, 1)
    >>> wells = ProductMixture(torch.full((4, 2), 0.5), line, torch.ones(4, 2), torch.zeros(4), torch.eye(4))
    >>> wells.sample(5, torch.Generator().manual_seed(0)).shape
    torch.Size([5, 4])
    """

    weights: Tensor
    means: Tensor
    stds: Tensor
    shift: Tensor
    scale_tril: Tensor

    def whiten(self, x: Tensor) -> Tensor:
        """``u = scale_tril⁻¹ (x − shift)``; ``(N, D)``."""
        centred = (x.to(self.shift.dtype) - self.shift).mT
        return torch.linalg.solve_triangular(self.scale_tril, centred, upper=False).mT

    def unwhiten(self, u: Tensor) -> Tensor:
        """``x = shift + scale_tril @ u``; ``(N, D)``."""
        return self.shift + u @ self.scale_tril.mT

    def components(self, u: Tensor) -> Tensor:
        """``log w_ij N(u_i; m_ij, s_ij²)``: ``(N, D) -> (N, D, J)`` in nats."""
        residual = (u[..., None] - self.means) / self.stds
        return self.weights.log() - self.stds.log() - 0.5 * (residual.square() + math.log(2 * math.pi))

    def coordinates(self, u: Tensor) -> Tensor:
        """Log density of each of the D independent coordinates u: ``(N, D) -> (N, D)`` in nats."""
        return self.components(u).logsumexp(-1)

    def log_prob(self, x: Tensor) -> Tensor:
        """``log q(x)``: ``(N, D) -> (N,)`` in nats."""
        return self.coordinates(self.whiten(x)).sum(-1) - self.scale_tril.diagonal().log().sum()

    def fresh(self, count: int, generator: Generator | None) -> Tensor:
        """``(count, D)`` draws of u."""
        dim = self.means.shape[0]
        pick = torch.multinomial(self.weights, count, replacement=True, generator=generator)
        noise = torch.randn(dim, count, generator=generator, dtype=self.means.dtype, device=self.means.device)
        return (self.means.gather(1, pick) + self.stds.gather(1, pick) * noise).mT

    def sample(self, count: int, generator: Generator | None) -> Tensor:
        """``(count, D)`` independent draws of x."""
        return self.unwhiten(self.fresh(count, generator))

    def affine(self, shift: Tensor, scale_tril: Tensor) -> ProductMixture:
        """The law of ``shift + scale_tril @ x`` where x follows this one."""
        return replace(self, shift=shift + scale_tril @ self.shift, scale_tril=scale_tril @ self.scale_tril)

    def inverse_affine(self, shift: Tensor, scale_tril: Tensor) -> ProductMixture:
        """The law of ``scale_tril⁻¹ (x − shift)`` where x follows this one."""
        table = torch.cat([(self.shift - shift)[:, None], self.scale_tril], -1)
        table = torch.linalg.solve_triangular(scale_tril, table, upper=False)
        return replace(self, shift=table[:, 0], scale_tril=table[:, 1:])

    def widened(self, scales: tuple[float, ...], shares: tuple[float, ...]) -> WidenedProduct:
        """A mixture of copies with weights ``shares``; each copy has its stds times one of ``scales``."""
        copies = tuple(replace(self, stds=scale * self.stds) for scale in scales)
        return WidenedProduct(copies, tuple(share / sum(shares) for share in shares))


@dataclass(frozen=True)
class WidenedProduct:
    """``Σ_c share_c q_c(x)`` of a few products: a proposal with tails that cover the target's."""

    products: tuple[ProductMixture, ...]
    shares: tuple[float, ...]

    def log_prob(self, x: Tensor) -> Tensor:
        """``log q(x)``: ``(N, D) -> (N,)`` in nats."""
        terms = [math.log(share) + q.log_prob(x) for q, share in zip(self.products, self.shares, strict=True)]
        return torch.stack(terms).logsumexp(0)

    def sample(self, count: int, generator: Generator | None) -> Tensor:
        """``(count, D)`` draws, ordered by their product."""
        share = torch.tensor(self.shares, dtype=torch.float64, device=self.products[0].means.device)
        which = torch.multinomial(share, count, replacement=True, generator=generator)
        counts = torch.bincount(which, minlength=len(self.products)).tolist()
        drawn = zip(self.products, counts, strict=True)
        return torch.cat([q.sample(number, generator) for q, number in drawn if number > 0])
