"""A target in affine coordinates in which its posterior has mean 0 and covariance I."""

from __future__ import annotations

import torch

from amortized._types import Tensor, for_rows
from amortized.targets.base import Target
from amortized.targets.transformed import TransformedTarget


class WhitenedTarget(TransformedTarget):
    """A target in whitened coordinates ``u``, where ``x = m + L u``; it has the same Z.

        log R'(u) = log R(m + L u) + log |det L|,    ∇ log R'(u) = Lᵀ ∇ log R(m + L u)

    The maps and the log densities are float64: far from the origin float32 would lose the digits of ``u``.

    Args:
        target: The density of ``x``, called in its own dtype.
        shift: m, ``(D,)``, or ``(M, D)`` for a target of M contexts.
        scale_tril: L, lower triangular, ``(D, D)`` or ``(M, D, D)``; gradients reach both maps.
        dtype: Of ``u``; torch's default dtype, which the network has, if left out.

    >>> from amortized.targets.callable import DensityTarget
    >>> narrow = DensityTarget(lambda x: -0.5 * ((x - 3.0) / 0.1).square().sum(-1), dim=1)
    >>> white = WhitenedTarget(narrow, torch.tensor([3.0]), torch.tensor([[0.1]]))
    >>> value, score = white.log_prob_and_score(torch.tensor([[1.0]]))
    >>> round(score.item(), 4)
    -1.0
    """

    def __init__(self, target: Target, shift: Tensor, scale_tril: Tensor, dtype: torch.dtype | None = None):
        super().__init__(target.dim, dtype or torch.get_default_dtype(), target.device)
        self.target = target
        self.shift = shift.to(target.device, torch.float64)
        self.scale_tril = scale_tril.to(target.device, torch.float64)
        self.log_det = self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        self.context, self.indices = target.context, target.indices

    def _each(self, x: Tensor) -> Tensor:
        """``(B, D)`` in float64; reshaped to ``(B / M, M, D)`` if each context has its own map."""
        return x.double().unflatten(0, (-1, len(self.shift))) if self.shift.ndim > 1 else x.double()

    def unwhiten(self, u: Tensor) -> Tensor:
        """``x = m + L u`` in the wrapped target's dtype; ``(B, D)``."""
        x = self.shift + (self._each(u)[..., None, :] @ self.scale_tril.mT)[..., 0, :]
        return x.reshape(u.shape).to(self.target.dtype)

    def whiten(self, x: Tensor) -> Tensor:
        """``u = L⁻¹ (x − m)`` in this target's dtype; ``(B, D)``."""
        if self.shift.ndim == 1:  # rows of one system: a batch of systems would copy L once for each row
            u = torch.linalg.solve_triangular(self.scale_tril, (x.double() - self.shift).mT, upper=False).mT
            return u.to(self.dtype)
        centred = (self._each(x) - self.shift)[..., None]
        u = torch.linalg.solve_triangular(self.scale_tril, centred, upper=False)[..., 0]
        return u.reshape(x.shape).to(self.dtype)

    def log_dets(self, count: int) -> Tensor:
        """``log |det L|`` of each of ``count`` rows; ``(count,)`` float64."""
        return self.log_det.expand(count) if self.log_det.ndim == 0 else for_rows(self.log_det, count)

    def moved(self, u: Tensor) -> tuple[Tensor, Tensor]:
        return self.unwhiten(u), self.log_dets(len(u))

    def moved_back(self, x: Tensor) -> Tensor:
        return self.whiten(x)

    def _log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        value, score = self.target.log_prob_and_score(self.unwhiten(x))
        white = (self._each(score)[..., None, :] @ self.scale_tril)[..., 0, :].reshape(x.shape)
        return value.double() + self.log_dets(len(x)), white.to(self.dtype)
