"""The denoising diffusion sampler."""

from __future__ import annotations

from amortized.processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from amortized.samplers.linear import LinearSampler


class DDS(LinearSampler):
    """Ornstein-Uhlenbeck noise, integrated exactly, reversed; trained by reverse KL (arXiv 2302.13834).

    Options as in ``LinearSampler``.
    """

    noise = OrnsteinUhlenbeck
