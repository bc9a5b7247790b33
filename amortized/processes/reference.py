"""A reference whose ends follow a Gaussian mixture: the denoiser that is known before any training."""

from __future__ import annotations

import torch
from torch import nn

from amortized._types import Tensor


class MixtureReference(nn.Module):
    """What a noised state says of its end when ends follow ``Σ_j w_j N(m_j, C_j)``, in closed form.

    Given ``x_t = c x_K + n ε`` and the component j, ``x_K`` is Gaussian; responsibilities weigh the components and the
    law of total variance gives the moments. ``weights: (J,)``, ``means: (J, D)``, ``scale_trils: (J, D, D)``.

    >>> two = MixtureReference(torch.tensor([0.5, 0.5]), torch.tensor([[-3.0], [3.0]]), torch.ones(2, 1, 1))
    >>> mean, variance = two.belief(torch.zeros(1, 1), torch.tensor(0.0), torch.tensor(1.0))
    >>> mean.item(), variance.item()
    (0.0, 10.0)
    """

    log_weights: Tensor
    means: Tensor
    rotated_means: Tensor
    axes: Tensor
    variances: Tensor

    def __init__(self, weights: Tensor, means: Tensor, scale_trils: Tensor):
        super().__init__()
        variances, axes = torch.linalg.eigh(scale_trils.double() @ scale_trils.double().mT)
        tables = {
            "log_weights": weights.double().log(),
            "means": means.double(),
            "axes": axes,
            "rotated_means": torch.einsum("jd,jde->je", means.double(), axes),
            "variances": variances.clamp(min=1e-12),
        }
        for name, table in tables.items():
            self.register_buffer(name, table.float(), persistent=False)

    def belief(self, x: Tensor, signal: Tensor, noise_variance: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and diagonal variance of ``x_K`` given ``x_t = x: (..., D)``; c and n² broadcast against x."""
        c, noise = signal[..., None], noise_variance[..., None]
        axes, variances = self.axes.to(x.dtype), self.variances.to(x.dtype)
        total = (c.square() * variances + noise).clamp(min=1e-30)
        residual, responsibility = self._components(x, c * self.rotated_means.to(x.dtype), total)
        gain = c * variances / total
        means = self.means.to(x.dtype) + torch.einsum("...je,jde->...jd", gain * residual, axes)
        own = torch.einsum("...je,jde->...jd", variances * (1 - c * gain), axes.square())
        mean = (responsibility * means).sum(-2)
        spread = (means - mean[..., None, :]).square()
        return mean, (responsibility * (own + spread)).sum(-2)

    def score(self, x: Tensor) -> Tensor:
        """``∇ log Σ_j w_j N(x; m_j, C_j)``, ``(..., D)``."""
        axes, variances = self.axes.to(x.dtype), self.variances.to(x.dtype)
        residual, responsibility = self._components(x, self.rotated_means.to(x.dtype), variances)
        return -(responsibility * torch.einsum("...je,jde->...jd", residual / variances, axes)).sum(-2)

    def _components(self, x: Tensor, rotated_means: Tensor, variances: Tensor) -> tuple[Tensor, Tensor]:
        """x minus each component's mean along its axes ``(..., J, D)``, and the responsibilities ``(..., J, 1)``."""
        residual = torch.einsum("...d,jde->...je", x, self.axes.to(x.dtype)) - rotated_means
        log_likelihood = -0.5 * (residual.square() / variances + variances.log()).sum(-1)
        return residual, (self.log_weights.to(x.dtype) + log_likelihood).softmax(-1)[..., None]
