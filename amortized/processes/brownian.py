"""Brownian motion from a point: the reference of the path integral sampler."""

from __future__ import annotations

from amortized._types import Tensor
from amortized.processes.linear import LinearProcess


class PinnedBrownian(LinearProcess):
    """Brownian motion that starts at 0 and reaches N(0, scale²) at t = 1: ``c = t``, ``n² = scale² t (1 − t)``.

    Zhang & Chen, "Path Integral Sampler", arXiv 2111.15141.

    >>> process = PinnedBrownian(steps=4, scale=2.0)
    >>> process.sample_prior(2, dim=1).abs().tolist()
    [[0.0], [0.0]]
    """

    def signal(self, t: Tensor) -> Tensor:
        return t

    def noise_variance(self, t: Tensor) -> Tensor:
        return self.scale**2 * t * (1 - t)
