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
    """A network that steers a linear process, which a preset names as its ``noise``.

    Args:
        dim: D, the target's variables.
        reference: a mixture of the ends to start from; None is N(0, scale² I).
        steps: K; more steps cost more target calls with ``langevin``. None: the preset's own.
        scale: std of the reference's ends where it is None, in units of x.
        width: of the network's layers.
        process: a linear process in place of the preset's own.
        langevin: shows the network the target's score, at one target call a step.
        tempered: shows it the score of the path between reference and target instead.
        learned_variance: the network gives the variance of a step too. None: the preset's own.
        learned_noising: trains the noising kernel.
        learned_prior: trains the reference.
        transition: the law of a step; ``StudentT()`` has heavy tails.
        grid: where the steps lie; ``Power(2.0)`` shortens them towards the target.
        embedding: reads the context, for many posteriors at once.
    """

    noise: type[LinearProcess]
    steps: int = 32
    learned_variance: bool = False

    def __init__(
        self,
        dim: int,
        reference: Reference | None = None,
        steps: int | None = None,
        scale: float = 1.0,
        width: int = 64,
        *,
        process: type[LinearProcess] | None = None,
        langevin: bool = True,
        tempered: bool = False,
        learned_variance: bool | None = None,
        learned_noising: bool = False,
        learned_prior: bool = False,
        transition: Transition = Gaussian(),  # noqa: B008
        grid: Grid = Uniform(),  # noqa: B008
        embedding: nn.Module | None = None,
    ):
        reference = learnable(reference, dim, scale) if learned_prior else reference
        super().__init__(
            (process or self.noise)(
                self.steps if steps is None else steps,
                scale,
                reference,
                noising=noising_policy(dim, width, learned_noising),
                transition=transition,
                grid=grid,
            ),
            LangevinMLP(
                dim,
                width,
                langevin=langevin,
                learned_variance=self.learned_variance if learned_variance is None else learned_variance,
                tempered=tempered,
                embedding=embedding,
            ),
        )
