"""A reference whose ends follow a product of one-dimensional Gaussian mixtures, for any number of dimensions."""

from __future__ import annotations

from torch import nn

from amortized._types import Tensor


class ProductReference(nn.Module):
    """What a noised state says of its end when ends follow ``Π_i Σ_j w_ij N(m_ij, s_ij²)``, in closed form.

    Noise is independent between coordinates, so each has a belief of its own: J Gaussian posteriors, weighed by their
    responsibilities. J^D modes for J D operations. ``weights``, ``means``, ``deviations``: ``(D, J)``; a weight may
    be 0. Raises ValueError for a deviation that is not positive.

    >>> import torch
    >>> wells = ProductReference(torch.full((1, 2), 0.5), torch.tensor([[-3.0, 3.0]]), torch.ones(1, 2))
    >>> mean, variance = wells.belief(torch.zeros(1, 1), torch.tensor(0.0), torch.tensor(1.0))
    >>> mean.item(), variance.item()
    (0.0, 10.0)
    """

    log_weights: Tensor
    means: Tensor
    variances: Tensor

    def __init__(self, weights: Tensor, means: Tensor, deviations: Tensor):
        super().__init__()
        if not bool((deviations > 0).all()):
            raise ValueError(f"deviations={deviations}: every one must be positive; write deviations.clamp(min=1e-6)")
        tables = {"log_weights": weights.double().log(), "means": means, "variances": deviations.double().square()}
        for name, table in tables.items():
            self.register_buffer(name, table.float(), persistent=False)

    def belief(self, x: Tensor, signal: Tensor, noise_variance: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance of ``x_K`` given ``x_t = x: (..., D)``; c and n² broadcast against x."""
        c, noise = signal[..., None], noise_variance[..., None]
        means, variances = self.means.to(x.dtype), self.variances.to(x.dtype)
        total = (c.square() * variances + noise).clamp(min=1e-30)
        residual = x[..., None] - c * means
        responsibility = self._responsibility(residual, total)
        gain = c * variances / total
        own = means + gain * residual
        mean = (responsibility * own).sum(-1)
        spread = (own - mean[..., None]).square() + variances * (1 - c * gain)
        return mean, (responsibility * spread).sum(-1)

    def score(self, x: Tensor) -> Tensor:
        """``∇ log Π_i Σ_j w_ij N(x_i; m_ij, s_ij²)``, ``(..., D)``."""
        variances = self.variances.to(x.dtype)
        residual = x[..., None] - self.means.to(x.dtype)
        return -(self._responsibility(residual, variances) * residual / variances).sum(-1)

    def _responsibility(self, residual: Tensor, variances: Tensor) -> Tensor:
        """How likely each component is: ``(..., D, J)``."""
        log_likelihood = -0.5 * (residual.square() / variances + variances.log())
        return (self.log_weights.to(residual.dtype) + log_likelihood).softmax(-1)
