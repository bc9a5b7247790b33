"""The stationary Ornstein-Uhlenbeck process: the reference of the denoising diffusion sampler."""

from __future__ import annotations

import math

from amortized._types import Tensor
from amortized.processes.linear import LinearProcess


class OrnsteinUhlenbeck(LinearProcess):
    """N(0, scale²) at every time, integrated exactly on a cosine clock: ``c = sin(πt/2)``, ``n² = scale² cos²(πt/2)``.

    The start forgets the end entirely (``c = 0``), so the prior is exact. Half of the steps fall where the noise is
    smaller than the signal. Vargas et al., "Denoising Diffusion Samplers", arXiv 2302.13834.

    >>> process = OrnsteinUhlenbeck(steps=4)
    >>> round(float(process.marginal_std.max() - process.marginal_std.min()), 12)
    0.0
    """

    def signal(self, t: Tensor) -> Tensor:
        return (0.5 * math.pi * t).sin()

    def noise_variance(self, t: Tensor) -> Tensor:
        return self.scale**2 * (0.5 * math.pi * t).cos().square()
