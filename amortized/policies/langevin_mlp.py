"""The default policy: a residual multilayer perceptron, with the target's score as an option."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import nn

from amortized._types import Control, Tensor
from amortized.policies.base import Policy
from amortized.policies.embeddings import CosineTime

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
        inputs = [x]
        if self.needs_score:
            assert langevin is not None
            langevin = (langevin * t if self.tempered else langevin).clamp(-self.clip, self.clip)
            inputs.append(langevin)
        if self.embedding is not None:
            assert context is not None
            inputs.append(context)
        hidden = self.read_state(torch.cat(inputs, -1))
        for block, bias in zip(self.blocks, self.read_time(time).chunk(len(self.blocks), -1), strict=True):
            hidden = hidden + block(nn.functional.silu(hidden + bias))
        hidden = nn.functional.silu(hidden)
        shift = self.shift(hidden)
        if self.langevin_scale is not None:
            shift = shift + self.langevin_scale(time) * langevin
        if self.log_variance is None:
            return Control(shift, 0.0)
        raw = self.log_variance(hidden)
        return Control(shift, LOG_VARIANCE_BOUND * (raw / LOG_VARIANCE_BOUND).tanh())


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
