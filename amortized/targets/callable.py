"""A target from a plain callable."""

from __future__ import annotations

import torch

from amortized._types import LogDensity, Sites, Tensor
from amortized.targets.base import Target


class DensityTarget(Target):
    """A target from a function of your own.

    Args:
        log_density: ``(B, D) -> (B,)`` in nats, differentiable by torch; each value may depend on its own row only.
        dim: D, the number of variables, each on the whole real line.
        dtype: Of ``x``; torch's default dtype if left out.
        device: Of ``x``.
        name: Under which ``constrain`` returns ``x``.

    >>> normal = DensityTarget(lambda x: -0.5 * x.square().sum(-1), dim=3)
    >>> value, score = normal.log_prob_and_score(torch.ones(2, 3))
    >>> value.tolist(), score[0].tolist(), normal.calls
    ([-1.5, -1.5], [-1.0, -1.0, -1.0], 2)
    """

    def __init__(
        self,
        log_density: LogDensity,
        dim: int,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
        name: str = "x",
    ):
        super().__init__(dim, dtype or torch.get_default_dtype(), torch.device(device))
        self.log_density = log_density
        self.name = name

    def _log_prob(self, x: Tensor) -> Tensor:
        return self.log_density(x)

    def _log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = self.log_density(x)
            (score,) = torch.autograd.grad(value.sum(), x)
        return value.detach(), score

    def constrain(self, x: Tensor) -> Sites:
        return {self.name: x}
