"""The sampler of generative flow networks, and the default: a process of choice, trained off-policy."""

from __future__ import annotations

from torch import nn

from amortized.policies.langevin_mlp import LangevinMLP
from amortized.processes.base import Grid
from amortized.processes.grids import Uniform
from amortized.processes.linear import LinearProcess
from amortized.processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from amortized.processes.reference import Reference
from amortized.processes.transitions import Gaussian, Transition
from amortized.samplers.base import DiffusionSampler
from amortized.samplers.parts import learnable, noising_policy


class GFlowNet(DiffusionSampler):
    """Noise reversed by a learned denoiser with learned variance, trained off-policy (arXiv 2402.05098).

    ``process``: Ornstein-Uhlenbeck, or any other linear one, ``PinnedBrownian`` being the paper's.
    ``dim``: D. ``reference``: a mixture to start from. ``scale``: the reference's deviation where there is none.
    ``langevin`` shows the network the target's score, at one target call a step; ``tempered`` the score of the path
    between reference and target. ``learned_noising`` trains the noising kernel too, ``learned_prior`` the reference;
    ``transition=StudentT()`` has heavy tails; ``grid=Power(2.0)`` shortens the steps towards the target. ``embedding``
    reads the context, for many posteriors at once.
    """

    def __init__(
        self,
        dim: int,
        reference: Reference | None = None,
        steps: int = 16,
        scale: float = 1.0,
        width: int = 64,
        *,
        process: type[LinearProcess] = OrnsteinUhlenbeck,
        langevin: bool = True,
        tempered: bool = False,
        learned_variance: bool = True,
        learned_noising: bool = False,
        learned_prior: bool = False,
        transition: Transition = Gaussian(),  # noqa: B008
        grid: Grid = Uniform(),  # noqa: B008
        embedding: nn.Module | None = None,
    ):
        noising = noising_policy(dim, width, learned_noising)
        reference = learnable(reference, dim, scale) if learned_prior else reference
        super().__init__(
            process(steps, scale, reference, noising=noising, transition=transition, grid=grid),
            LangevinMLP(
                dim, width, langevin=langevin, learned_variance=learned_variance, tempered=tempered, embedding=embedding
            ),
        )
