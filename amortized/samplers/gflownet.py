"""The sampler of generative flow networks, and the default: a process of choice, trained off-policy."""

from __future__ import annotations

from amortized.processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from amortized.samplers.linear import LinearSampler


class GFlowNet(LinearSampler):
    """Noise reversed by a learned denoiser with learned variance, trained off-policy (arXiv 2402.05098).

    Ornstein-Uhlenbeck noise in 16 steps; ``process=PinnedBrownian`` is the paper's. Options as in ``LinearSampler``.
    """

    noise = OrnsteinUhlenbeck
    steps = 16
    learned_variance = True
