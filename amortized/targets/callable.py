"""A target from a plain callable."""

from __future__ import annotations

import torch

from amortized._types import LogDensity, Sites, Tensor
from amortized.targets.base import Target
from amortized.targets.compiler import REPAID, WithScore, if_it_compiles, machine_code

CHECKED = 33
"""Draws at which compiled values are compared."""


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
        self.not_compiled = ""
        self._compiled: WithScore | None = None

    def quicken(self, seconds: float) -> bool:
        """As ``Target.quicken``: the density is compiled where 20 s of calls are left.

        It stays as it is where the compiled one gives other values at 33 draws of N(0, 1): ``not_compiled``.
        """
        if self._compiled is None and not self.not_compiled and seconds >= REPAID:
            self.not_compiled = if_it_compiles(self._compile)
        return self._compiled is not None

    def _compile(self) -> bool:
        """Whether the compiled density gives the same values; it is then used."""
        fast = machine_code(self._traceable)
        x = torch.randn(CHECKED, self.dim, dtype=self.dtype, generator=torch.Generator().manual_seed(0)).to(self.device)
        pairs = zip(fast(x), self._log_prob_and_score(x), strict=True)
        alike = all(torch.allclose(mine, want.detach(), rtol=1e-4, atol=1e-4, equal_nan=True) for mine, want in pairs)
        self._compiled = fast if alike else None
        return alike

    def _traceable(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Value and score as one function, which the compiler follows."""

        def total(x: Tensor) -> tuple[Tensor, Tensor]:
            value = self.log_density(x)
            return value.sum(), value

        score, (_, value) = torch.func.grad_and_value(total, has_aux=True)(x)
        return value, score

    def _log_prob(self, x: Tensor) -> Tensor:
        return self.log_density(x)

    def _log_prob_and_score(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self._compiled is not None:
            return self._compiled(x)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            value = self.log_density(x)
            (score,) = torch.autograd.grad(value.sum(), x)
        return value.detach(), score

    def constrain(self, x: Tensor) -> Sites:
        return {self.name: x}
