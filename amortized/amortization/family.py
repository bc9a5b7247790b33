"""A conditional target whose every posterior is whitened by a map that was learned for all of them."""

from __future__ import annotations

import copy

import torch

from amortized._types import Generator, Tensor
from amortized.policies.conditional_gaussian import ConditionalGaussian
from amortized.targets.affine import WhitenedTarget
from amortized.targets.conditional.target import ConditionalTarget

CONTEXTS = 32
"""Presented at a time."""


class Family:
    """``log R(m(c) + L(c) u; c) + log |det L(c)|`` for every context c; a training step is shown some of them.

    ``rows: (N, C)``: the contexts of training, known by their numbers 0 … N−1; the first ``simulated`` come from the
    model's own prior, the rest are data. ``contexts`` are presented at a time, half of them data where there are that
    many. ``gaussian`` gives m and L. It is not trained any further here.
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
        self.numbers = torch.arange(len(rows), device=rows.device)

    def among(self, numbers: Tensor) -> Family:
        """The same family, presenting only contexts with these ``numbers``."""
        some = copy.copy(self)
        some.numbers = numbers.unique()
        return some

    def at(self, rows: Tensor, numbers: Tensor | None = None) -> WhitenedTarget:
        """The whitened posteriors of contexts ``(M, C)``; differentiable in the Gaussian where gradients are on."""
        mean, scale_tril = self.gaussian(rows)
        return WhitenedTarget(self.target.at(rows, numbers), mean, scale_tril)

    def presented(self, generator: Generator | None = None) -> WhitenedTarget:
        numbers = self.choose(self.contexts, generator)
        with torch.no_grad():
            return self.at(self.rows[numbers], numbers)

    def choose(self, count: int, generator: Generator | None = None) -> Tensor:
        """Numbers of ``count`` contexts, with replacement; half of them data where there are as many as are shown."""
        data = self.numbers >= self.simulated
        enough = int(data.sum()) >= self.contexts
        kinds = [self.numbers[~data], self.numbers[data] if enough else self.numbers[:0]]
        kinds = [kind for kind in kinds if len(kind)]
        shares = [count // len(kinds)] * (len(kinds) - 1)
        chosen = [
            kind[torch.randint(len(kind), (share,), generator=generator, device=kind.device)]
            for kind, share in zip(kinds, [count - sum(shares), *shares], strict=True)
        ]
        return torch.cat(chosen)
