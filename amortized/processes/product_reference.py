"""A reference whose ends follow a product of one-dimensional Gaussian mixtures, for any number of dimensions."""

from __future__ import annotations

import math

from amortized._types import Tensor
from amortized.processes.reference import Reference


class ProductReference(Reference):
    """The ends follow ``Π_i Σ_j w_ij N(m_ij, s_ij²)``.

    Noise is independent between coordinates, so each has a belief of its own: J Gaussian posteriors, weighed by their
    responsibilities. J^D modes cost J D operations.

    Args:
        weights: ``(D, J)``; a weight may be 0.
        means: ``(D, J)``.
        stds: ``(D, J)``, positive.
        learned: trains all three.

    Raises:
        ValueError: a std that is not positive.

    >>> import torch
    >>> wells = ProductReference(torch.full((1, 2), 0.5), torch.tensor([[-3.0, 3.0]]), torch.ones(1, 2))
    >>> mean, variance = wells.belief(torch.zeros(1, 1), torch.tensor(0.0), torch.tensor(1.0))
    >>> mean.item(), variance.item()
    (0.0, 10.0)
    """

    log_weights: Tensor
    means: Tensor
    log_variances: Tensor

    def __init__(self, weights: Tensor, means: Tensor, stds: Tensor, learned: bool = False):
        super().__init__()
        if not bool((stds > 0).all()):
            raise ValueError(f"stds={stds}: every std must be positive; write stds.clamp(min=1e-6)")
        tables = {"log_weights": weights.double().log(), "means": means, "log_variances": 2 * stds.double().log()}
        self._hold(tables, {}, learned)

    def belief(self, x: Tensor, signal: Tensor, noise_variance: Tensor) -> tuple[Tensor, Tensor]:
        c, noise = signal[..., None], noise_variance[..., None]
        means, variances = self.means.to(x.dtype), self.log_variances.to(x.dtype).exp()
        noise = noise.clamp(min=1e-30)
        total = c.square() * variances + noise
        residual = x[..., None] - c * means
        responsibility = self._joint(residual, total).softmax(-1)
        gain = c * variances / total
        own = means + gain * residual
        mean = (responsibility * own).sum(-1)
        spread = (own - mean[..., None]).square() + variances * noise / total
        return mean, (responsibility * spread).sum(-1)

    def score(self, x: Tensor) -> Tensor:
        variances = self.log_variances.to(x.dtype).exp()
        residual = x[..., None] - self.means.to(x.dtype)
        return -(self._joint(residual, variances).softmax(-1) * residual / variances).sum(-1)

    def log_marginal(self, x: Tensor, signal: Tensor, noise_variance: Tensor) -> Tensor:
        c, noise = signal[..., None], noise_variance[..., None]
        total = (c.square() * self.log_variances.to(x.dtype).exp() + noise).clamp(min=1e-30)
        joint = self._joint(x[..., None] - c * self.means.to(x.dtype), total)
        total_weight = self.log_weights.to(x.dtype).logsumexp(-1)
        return (joint.logsumexp(-1) - total_weight - 0.5 * math.log(2 * math.pi)).sum(-1)

    def _joint(self, residual: Tensor, variances: Tensor) -> Tensor:
        """Log weight plus log likelihood of each component, without the constant: ``(..., D, J)``."""
        log_likelihood = -0.5 * (residual.square() / variances + variances.log())
        return self.log_weights.to(residual.dtype) + log_likelihood
