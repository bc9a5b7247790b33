"""A conditional target, each of whose posteriors is whitened by a map that was learned for all of them."""

from __future__ import annotations

import copy

import torch

from amortized._types import Generator, Tensor
from amortized.policies.conditional_gaussian import ConditionalGaussian
from amortized.targets.affine import WhitenedTarget
from amortized.targets.conditional.target import ConditionalTarget

CONTEXTS = 32
"""Presented at a time: a batch of 256 paths then has eight for each context."""


class Family:
    """The whitened posteriors of all contexts: ``log R(m(c) + L(c) u; c) + log |det L(c)|``.

    A training step looks at some of the contexts.

    Args:
        target: ``log R(x; c)`` for every context c.
        gaussian: Gives ``m(c)`` and ``L(c)``; it learns nothing more here.
        rows: The contexts of training, ``(N, C)``; their indices are 0 … N−1.
        simulated: So many of them, the first, come from the model's own prior. The rest are data.
        contexts: How many a training step looks at. Half of these are data, if there are so many data.
    """

    def __init__(
        self,
        target: ConditionalTarget,
        gaussian: ConditionalGaussian,
        rows: Tensor,
        simulated: int,
        contexts: int = CONTEXTS,
    ):
        self.target = target
        self.gaussian = gaussian
        self.rows = rows
        self.simulated = simulated
        self.contexts = contexts
        self.dim, self.device = target.dim, target.device
        self.indices = torch.arange(len(rows), device=rows.device)

    def among(self, indices: Tensor) -> Family:
        """The same family, of which a training step looks only at contexts with these ``indices``."""
        some = copy.copy(self)
        some.indices = indices.unique()
        return some

    def at(self, rows: Tensor, indices: Tensor | None = None) -> WhitenedTarget:
        """The whitened posteriors of contexts ``rows: (M, C)``, differentiable in the Gaussian's weights."""
        mean, scale_tril = self.gaussian(rows)
        return WhitenedTarget(self.target.at(rows, indices), mean, scale_tril)

    def presented(self, generator: Generator | None = None) -> WhitenedTarget:
        """What one training step looks at."""
        indices = self.choose(self.contexts, generator)
        with torch.no_grad():
            return self.at(self.rows[indices], indices)

    def choose(self, count: int, generator: Generator | None = None) -> Tensor:
        """Numbers of ``count`` contexts, with replacement; half of them data, unless data are few."""
        data = self.indices >= self.simulated
        enough = int(data.sum()) >= self.contexts
        kinds = [self.indices[~data], self.indices[data] if enough else self.indices[:0]]
        kinds = [kind for kind in kinds if len(kind)]
        shares = [count // len(kinds)] * (len(kinds) - 1)
        chosen = [
            kind[torch.randint(len(kind), (share,), generator=generator, device=kind.device)]
            for kind, share in zip(kinds, [count - sum(shares), *shares], strict=True)
        ]
        return torch.cat(chosen)
