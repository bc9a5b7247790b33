"""The path integral sampler."""

from __future__ import annotations

from amortized.processes.brownian import PinnedBrownian
from amortized.samplers.linear import LinearSampler


class PIS(LinearSampler):
    """Brownian motion from a point, steered to the target; trained by reverse KL (arXiv 2111.15141).

    Options as in ``LinearSampler``.
    """

    noise = PinnedBrownian
