"""The time-reversed diffusion sampler."""

from __future__ import annotations

from amortized.processes.variance_preserving import VariancePreserving
from amortized.samplers.linear import LinearSampler


class DIS(LinearSampler):
    """Variance-preserving noise, reversed; trained by reverse KL or log-variance (arXiv 2211.01364, 2307.01198).

    Options as in ``LinearSampler``.
    """

    noise = VariancePreserving
