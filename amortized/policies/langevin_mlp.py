"""The default policy: a residual multilayer perceptron, with the target's score as an option."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from amortized._types import Control, Tensor
from amortized.policies.base import Policy, Steering
from amortized.policies.embeddings import CosineTime
from amortized.policies.lean_mlp import LeanMLP

LOG_VARIANCE_BOUND = 10.0
"""In nats: a factor of 22,000 either way, far beyond any useful one, and no overflow."""


class LangevinMLP(Policy):
    """``shift = f(x, t) + g(t) · clip(langevin)``, ``log variance = v(x, t)``, from one residual perceptron.

    All heads start at zero, so that an untrained policy is the reference process. The Langevin parametrization is that
    of arXiv 2111.15141 and 2402.05098.

    Args:
        dim: D.
        width: of the hidden layers.
        depth: residual layers.
        langevin: gives the network the target's score, as an input and as the added term.
        learned_variance: False fixes v = 0.
        clip: bound of each element of ``langevin``, in units of a shift.
        tempered: multiplies ``langevin`` by t: the score of the path of densities from the reference to the target.
        state_dim: S, of a state that carries more than the target's D variables; None: D.
        embedding: contexts ``(M, C)`` to features ``(M, embedding.size)``, on which the control depends.

    >>> policy = LangevinMLP(dim=2)
    >>> control = policy(torch.randn(5, 2), torch.rand(5, 1))
    >>> control.shift.abs().max().item()
    0.0
    """

    def __init__(
        self,
        dim: int,
        width: int = 128,
        depth: int = 3,
        langevin: bool = False,
        learned_variance: bool = True,
        clip: float = 10.0,
        tempered: bool = False,
        state_dim: int | None = None,
        embedding: nn.Module | None = None,
    ):
        super().__init__()
        if tempered and not langevin:
            raise ValueError("tempered=True without the score that it tempers: write langevin=True as well")
        self.needs_score = langevin
        self.learned_variance = learned_variance
        self.clip = clip
        self.tempered = tempered
        self.embedding = embedding
        self.time = CosineTime()
        time_size = self.time.frequencies.numel()
        features = 0 if embedding is None else int(cast(Any, embedding).size)
        self.read_state = nn.Linear((state_dim or dim) + (dim if langevin else 0) + features, width)
        self.read_time = nn.Linear(time_size, width * depth)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.shift = _zero(nn.Linear(width, dim))
        self.log_variance = _zero(nn.Linear(width, dim)) if learned_variance else None
        self.langevin_scale = _zero(nn.Linear(time_size, dim)) if langevin else None

    def read(self, context: Tensor) -> Tensor:
        return context if self.embedding is None else self.embedding(context)

    def forward(self, x: Tensor, t: Tensor, langevin: Tensor | None = None, context: Tensor | None = None) -> Control:
        time = self.time(t)
        if self.needs_score:
            assert langevin is not None
            langevin = self.clipped(langevin, t)
        hidden = self.read_state(self.inputs(x, langevin, context))
        for block, bias in zip(self.blocks, self.read_time(time).chunk(len(self.blocks), -1), strict=True):
            hidden = hidden + block(nn.functional.silu(hidden + bias))
        out = nn.functional.linear(nn.functional.silu(hidden), *self.head())
        return self.control(out, None if self.langevin_scale is None else self.langevin_scale(time), langevin)

    def at(self, times: Tensor, record: bool = False) -> Steering:
        is_own = type(self).forward is LangevinMLP.forward and not self._forward_hooks
        # the lean form works in place, and stands for this forward alone
        lean = is_own and not self._forward_pre_hooks_with_kwargs and not torch.is_grad_enabled()
        return LeanMLP(self, times, record) if lean else super().at(times)

    def clipped(self, langevin: Tensor, t: Tensor) -> Tensor:
        """The part of a proposed shift that the network sees, and adds, at time t."""
        return (langevin * t if self.tempered else langevin).clamp(-self.clip, self.clip)

    def inputs(self, x: Tensor, langevin: Tensor | None, context: Tensor | None) -> Tensor:
        """What the first layer reads, side by side."""
        parts = [x]
        if self.needs_score:
            parts.append(cast(Tensor, langevin))
        if self.embedding is not None:
            assert context is not None
            parts.append(context)
        return x if len(parts) == 1 else torch.cat(parts, -1)

    def head(self) -> tuple[Tensor, Tensor]:
        """Weight ``(O, width)`` and bias ``(O,)`` of the last layer: the shift, and the log variance in units of 10."""
        if self.log_variance is None:
            return self.shift.weight, self.shift.bias
        weight = torch.cat([self.shift.weight, self.log_variance.weight / LOG_VARIANCE_BOUND])
        return weight, torch.cat([self.shift.bias, self.log_variance.bias / LOG_VARIANCE_BOUND])

    def control(self, out: Tensor, scale: Tensor | None, langevin: Tensor | None) -> Control:
        """The control of the last layer's output ``(..., O)``; ``scale`` weighs the clipped ``langevin``."""
        shift, raw = (out, None) if self.log_variance is None else out.chunk(2, -1)
        if scale is not None:
            shift = torch.addcmul(shift, scale, cast(Tensor, langevin))
        return Control(shift, 0.0 if raw is None else LOG_VARIANCE_BOUND * raw.tanh())


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
