"""The underdamped diffusion sampler."""

from __future__ import annotations

from torch import nn

from amortized.policies.langevin_mlp import LangevinMLP
from amortized.processes.base import Grid
from amortized.processes.grids import Uniform
from amortized.processes.transitions import Gaussian, Transition
from amortized.processes.underdamped import Underdamped
from amortized.samplers.base import DiffusionSampler


class UDS(DiffusionSampler):
    """Positions with velocities, noise enters through the velocities alone (arXiv 2503.01006).

    It has no bridges in closed form. So it starts from no mixture, and trains with ``Recipe(bridge_steps=0)``:
    ``DiffusionGuide(model, sampler=lambda dim, reference: UDS(dim), recipe=...)``.

    Args:
        dim: D.
        steps: K; each costs a target call with ``langevin``.
        scale: std of positions and velocities under the reference.
        width: of the network's layers.
        duration: as in ``Underdamped``.
        friction: as in ``Underdamped``.
        langevin, tempered, learned_variance, transition, grid, embedding: as in ``LinearSampler``.
    """

    def __init__(
        self,
        dim: int,
        *,
        steps: int = 32,
        scale: float = 1.0,
        width: int = 64,
        duration: float = 5.0,
        friction: float = 2.0,
        langevin: bool = True,
        tempered: bool = False,
        learned_variance: bool = True,
        transition: Transition = Gaussian(),  # noqa: B008
        grid: Grid = Uniform(),  # noqa: B008
        embedding: nn.Module | None = None,
    ):
        super().__init__(
            Underdamped(steps, scale, duration, friction, transition=transition, grid=grid),
            LangevinMLP(
                dim,
                width,
                langevin=langevin,
                learned_variance=learned_variance,
                tempered=tempered,
                state_dim=2 * dim,
                embedding=embedding,
            ),
        )
