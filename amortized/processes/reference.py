"""The contract of a reference: a law of the ends before any training, and the belief about an end under it."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import nn

from amortized._types import Tensor

LEAST_LOG = -30.0
"""Log weight in place of −∞, which has no gradient: e^-30 is below what single precision adds to 1."""


def trainable(table: Tensor) -> Tensor:
    """A copy in torch's default dtype without infinities: the logarithm of a weight of 0 becomes a small one."""
    copied = table.detach().to(torch.get_default_dtype(), copy=True)
    return torch.where(copied == -torch.inf, LEAST_LOG, copied)


class Reference(nn.Module, ABC):
    """A law of the ends whose noised versions ``x_t = c x_K + n ε`` are known in closed form.

    ``signal`` c and ``noise_variance`` n² broadcast against states ``x: (..., D)``. Weights, means and variances are
    fixed, or parameters that are trained with the policy.
    """

    learnable: tuple[str, ...]
    """Names of the tables that ``as_learned`` turns into parameters."""

    def _hold(self, tables: dict[str, Tensor], fixed: dict[str, Tensor], learned: bool) -> None:
        self.learnable = tuple(tables)
        for name, table in tables.items():
            if learned:
                self.register_parameter(name, nn.Parameter(trainable(table)))
            else:
                self.register_buffer(name, table.to(torch.get_default_dtype()), persistent=False)
        for name, table in fixed.items():
            self.register_buffer(name, table.to(torch.get_default_dtype()), persistent=learned)

    def as_learned(self) -> Reference:
        """A copy whose weights, means and variances are parameters."""
        twin = copy.deepcopy(self)
        for name in self.learnable:
            delattr(twin, name)
            twin.register_parameter(name, nn.Parameter(trainable(getattr(self, name).detach())))
        return twin

    @abstractmethod
    def belief(self, x: Tensor, signal: Tensor, noise_variance: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and diagonal variance of ``x_K`` given ``x_t = x``: ``(..., D)`` each."""

    def at(self, signals: Tensor, noise_variances: Tensor) -> Callable[[int, Tensor], tuple[Tensor, Tensor]]:
        """``belief`` at fixed times ``(K,)`` each, for one simulation: what depends on time alone is computed once."""
        each = signals.unbind(), noise_variances.unbind()
        return lambda k, x: self.belief(x, each[0][k], each[1][k])

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """``∇ log`` of the law of the ends at ``x``: ``(..., D)``."""

    @abstractmethod
    def log_marginal(self, x: Tensor, signal: Tensor, noise_variance: Tensor) -> Tensor:
        """Log density of ``x_t``: ``(..., D) -> (...)``."""
