"""A reference whose ends follow a Gaussian mixture: the denoiser that is known before any training."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from amortized._types import Tensor
from amortized.processes.reference import Reference


class MixtureReference(Reference):
    """The ends follow ``Σ_j w_j N(m_j, C_j)``.

    Given ``x_t = c x_K + n ε`` and the component j, ``x_K`` is Gaussian. Responsibilities weigh the components, and the
    law of total variance gives the moments.

    Args:
        weights: ``(J,)``; a weight may be 0.
        means: ``(J, D)``.
        scale_trils: ``(J, D, D)``, lower triangles L with ``L Lᵀ = C``.
        learned: trains weights, means and the variances along each component's axes.

    >>> two = MixtureReference(torch.tensor([0.5, 0.5]), torch.tensor([[-3.0], [3.0]]), torch.ones(2, 1, 1))
    >>> mean, variance = two.belief(torch.zeros(1, 1), torch.tensor(0.0), torch.tensor(1.0))
    >>> mean.item(), variance.item()
    (0.0, 10.0)
    """

    log_weights: Tensor
    means: Tensor
    log_variances: Tensor
    axes: Tensor

    def __init__(self, weights: Tensor, means: Tensor, scale_trils: Tensor, learned: bool = False):
        super().__init__()
        variances, axes = torch.linalg.eigh(scale_trils.double() @ scale_trils.double().mT)
        log_variances = variances.clamp(min=1e-12).log()
        tables = {"log_weights": weights.double().log(), "means": means, "log_variances": log_variances}
        self._hold(tables, {"axes": axes}, learned)

    def belief(self, x: Tensor, signal: Tensor, noise_variance: Tensor) -> tuple[Tensor, Tensor]:
        c, noise = signal[..., None], noise_variance[..., None]
        axes, variances = self.axes.to(x.dtype), self.log_variances.to(x.dtype).exp()
        noise = noise.clamp(min=1e-30)
        total = c.square() * variances + noise
        residual, joint = self._components(x, c, total)
        responsibility = joint.softmax(-1)[..., None]
        gain = c * variances / total
        means = self.means.to(x.dtype) + torch.einsum("...je,jde->...jd", gain * residual, axes)
        own = torch.einsum("...je,jde->...jd", variances * noise / total, axes.square())
        mean = (responsibility * means).sum(-2)
        spread = (means - mean[..., None, :]).square()
        return mean, (responsibility * (own + spread)).sum(-2)

    def at(self, signals: Tensor, noise_variances: Tensor) -> Callable[[int, Tensor], tuple[Tensor, Tensor]]:
        if torch.is_grad_enabled():  # the lean form works in place
            return super().at(signals, noise_variances)
        return _Lean(self, signals, noise_variances)

    def score(self, x: Tensor) -> Tensor:
        axes, variances = self.axes.to(x.dtype), self.log_variances.to(x.dtype).exp()
        residual, joint = self._components(x, 1.0, variances)
        slopes = torch.einsum("...je,jde->...jd", residual / variances, axes)
        return -(joint.softmax(-1)[..., None] * slopes).sum(-2)

    def log_marginal(self, x: Tensor, signal: Tensor, noise_variance: Tensor) -> Tensor:
        c, noise = signal[..., None], noise_variance[..., None]
        total = (c.square() * self.log_variances.to(x.dtype).exp() + noise).clamp(min=1e-30)
        joint = self._components(x, c, total)[1]
        total_weight = self.log_weights.to(x.dtype).logsumexp(-1)
        return joint.logsumexp(-1) - total_weight - 0.5 * x.shape[-1] * math.log(2 * math.pi)

    def _components(self, x: Tensor, signal: Tensor | float, variances: Tensor) -> tuple[Tensor, Tensor]:
        """x less each component's mean along its axes ``(..., J, D)``; log weight + log likelihood ``(..., J)``."""
        axes = self.axes.to(x.dtype)
        rotated_means = torch.einsum("jd,jde->je", self.means.to(x.dtype), axes)
        residual = torch.einsum("...d,jde->...je", x, axes) - signal * rotated_means
        log_likelihood = -0.5 * (residual.square() / variances + variances.log()).sum(-1)
        return residual, self.log_weights.to(x.dtype) + log_likelihood


class _Lean:
    """The same beliefs at fixed times: all components in one product of matrices each, tensors ``(J, B, D)``."""

    def __init__(self, reference: MixtureReference, signals: Tensor, noise_variances: Tensor):
        axes, means = reference.axes.to(signals.dtype), reference.means.to(signals.dtype)
        variances = reference.log_variances.to(signals.dtype).exp()
        c, noise = signals[:, None, None], noise_variances[:, None, None].clamp(min=1e-30)
        total = c.square() * variances + noise
        gain = c * variances / total
        rotated = torch.einsum("jd,jde->je", means, axes)
        self.axes, self.back, self.means = axes, axes.mT, means[:, None]
        self.shifts = (-c * rotated)[:, :, None].unbind()
        self.precisions = (-0.5 / total)[..., None].unbind()
        log_weights = reference.log_weights.to(signals.dtype) - 0.5 * total.log().sum(-1)
        self.log_weights = log_weights[:, :, None, None].unbind()
        self.gains = gain[:, :, None].unbind()
        own = torch.einsum("kje,jde->kjd", variances * noise / total, axes.square())
        self.own = own[:, :, None].unbind()

    def __call__(self, k: int, x: Tensor) -> tuple[Tensor, Tensor]:
        residual = torch.baddbmm(self.shifts[k], x.expand(len(self.axes), *x.shape), self.axes)
        joint = torch.baddbmm(self.log_weights[k], residual.square(), self.precisions[k])
        responsibility = joint.softmax(0)
        means = torch.baddbmm(self.means, residual.mul_(self.gains[k]), self.back)
        mean = (responsibility * means).sum(0)
        spread = torch.addcmul(self.own[k], means.sub_(mean), means)
        return mean, spread.mul_(responsibility).sum(0)
