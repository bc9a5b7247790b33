"""The default sampler: a noising process that the mixture of the warm-up already denoises, and a network on top."""

from __future__ import annotations

from amortized.policies.langevin_mlp import LangevinMLP
from amortized.processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from amortized.processes.reference import MixtureReference
from amortized.samplers.base import DiffusionSampler


class GFlowNet(DiffusionSampler):
    """Ornstein-Uhlenbeck noise, a learned denoiser with learned variance, trained off-policy (arXiv 2402.05098).

    ``dim``: D. ``reference``: the mixture to start from. ``langevin=True`` shows the network how the target's score
    differs from the reference's, at one target call a step.
    """

    def __init__(
        self,
        dim: int,
        reference: MixtureReference | None = None,
        steps: int = 16,
        width: int = 64,
        langevin: bool = True,
        learned_variance: bool = True,
    ):
        super().__init__(
            OrnsteinUhlenbeck(steps, reference=reference),
            LangevinMLP(dim, width=width, langevin=langevin, learned_variance=learned_variance),
        )
