"""What the presets of the simulation-based samplers share: a linear process, and a network with a fixed variance."""

from __future__ import annotations

from torch import nn

from amortized.policies.langevin_mlp import LangevinMLP
from amortized.processes.base import Grid
from amortized.processes.grids import Uniform
from amortized.processes.linear import LinearProcess
from amortized.processes.reference import Reference
from amortized.processes.transitions import Gaussian, Transition
from amortized.samplers.base import DiffusionSampler
from amortized.samplers.parts import learnable, noising_policy


class LinearSampler(DiffusionSampler):
    """A network that steers the process named by ``noise``; a preset says which.

    ``dim``: D. ``reference``: a mixture to start from. ``scale``: the reference's deviation where there is none.
    ``langevin`` shows the network the target's score, at one target call a step; ``tempered`` the score of the path
    between reference and target. ``learned_noising`` trains the noising kernel too, ``learned_prior`` the reference;
    ``transition=StudentT()`` has heavy tails; ``grid=Power(2.0)`` shortens the steps towards the target. ``embedding``
    reads the context, for many posteriors at once.
    """

    noise: type[LinearProcess]

    def __init__(
        self,
        dim: int,
        reference: Reference | None = None,
        steps: int = 32,
        scale: float = 1.0,
        width: int = 64,
        *,
        langevin: bool = True,
        tempered: bool = False,
        learned_variance: bool = False,
        learned_noising: bool = False,
        learned_prior: bool = False,
        transition: Transition = Gaussian(),  # noqa: B008
        grid: Grid = Uniform(),  # noqa: B008
        embedding: nn.Module | None = None,
    ):
        noising = noising_policy(dim, width, learned_noising)
        reference = learnable(reference, dim, scale) if learned_prior else reference
        super().__init__(
            self.noise(steps, scale, reference, noising=noising, transition=transition, grid=grid),
            LangevinMLP(
                dim, width, langevin=langevin, learned_variance=learned_variance, tempered=tempered, embedding=embedding
            ),
        )
