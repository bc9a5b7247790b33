"""The variance-preserving process of denoising diffusion: the reference of the time-reversed diffusion sampler."""

from __future__ import annotations

from amortized._types import Tensor
from amortized.processes.linear import LinearProcess

RATE_AT_TARGET, RATE_AT_PRIOR = 0.1, 10.0
"""β at either end, as arXiv 2211.01364 has it; 2011.13456, for images, has 20 at the prior."""


class VariancePreserving(LinearProcess):
    """N(0, scale²) at every time, noised at a rate β that rises on a line: ``c = exp(−½∫β)``, ``n² = scale² (1 − c²)``.

    β grows from 0.1 at the target to 10 at the prior, so that ``c(0) = 0.08``. Berner, Richter & Ullrich,
    arXiv 2211.01364; Song et al., 2011.13456.

    >>> process = VariancePreserving(steps=4)
    >>> round(float(process.signals[0]), 3)
    0.08
    """

    def signal(self, t: Tensor) -> Tensor:
        left = 1 - t
        return (-0.5 * (RATE_AT_TARGET * left + 0.5 * (RATE_AT_PRIOR - RATE_AT_TARGET) * left.square())).exp()

    def noise_variance(self, t: Tensor) -> Tensor:
        return self.scale**2 * (1 - self.signal(t).square())
