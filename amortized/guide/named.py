"""The guides by the name of their method. Each names its parts; everything else is ``DiffusionGuide``.

A guide that is named after a paper's method is that method: it starts from N(0, I) in whitened coordinates, its own
objective alone trains it, and it draws with what was trained. ``reference="mixture"`` starts it from what the warm-up
found.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from amortized.guide.guide import DiffusionGuide
from amortized.objectives import DetailedBalance, Objective, ReverseKL, SubTrajectoryBalance, TrajectoryBalance
from amortized.processes.grids import Coarse
from amortized.samplers import DDS, DIS, PIS, GFlowNet
from amortized.training.recipe import Recipe, on_policy


def reverse_kl(dim: int) -> Objective:
    return ReverseKL()


def trajectory_balance(dim: int) -> Objective:
    return TrajectoryBalance()


def forward_looking(dim: int) -> Objective:
    return SubTrajectoryBalance(dim, forward_looking=True)


PUBLISHED = Recipe(bridge_steps=0, steps=2_000, enough=0.97, patience=4, in_time=True, always=True)
"""The papers train for thousands of steps, by their objective alone: no bridges before it. A sampler from N(0, I) has
far to go. So it waits longer for progress than the default, and goes on to a larger overlap."""
SIMULATED = replace(PUBLISHED, objective=reverse_kl, behaviour=on_policy)
"""Reverse KL through the simulation."""


class PublishedGuide(DiffusionGuide):
    """What the guides that are named after a paper's method share: where they start, and that they always train."""

    default_recipe = PUBLISHED
    reference = "normal"


class PISGuide(PublishedGuide):
    """Brownian motion from a point, trained by reverse KL through the simulation (arXiv 2111.15141)."""

    preset = PIS
    default_recipe = SIMULATED


class DDSGuide(PublishedGuide):
    """Ornstein-Uhlenbeck noise, trained by reverse KL through the simulation (arXiv 2302.13834)."""

    preset = DDS
    default_recipe = SIMULATED


class DISGuide(PublishedGuide):
    """Variance-preserving noise, trained by reverse KL through the simulation (arXiv 2211.01364)."""

    preset = DIS
    default_recipe = SIMULATED


class TBGuide(PublishedGuide):
    """Trajectory balance, off-policy (arXiv 2301.12594, 2402.05098)."""

    default_recipe = replace(PUBLISHED, objective=trajectory_balance)


class VarGradGuide(PublishedGuide):
    """The log-variance loss, off-policy (arXiv 2010.10436, 2402.05098)."""


class DBGuide(PublishedGuide):
    """Detailed balance, off-policy (arXiv 2111.09266)."""

    default_recipe = replace(PUBLISHED, objective=DetailedBalance)


class SubTBGuide(PublishedGuide):
    """Sub-trajectory balance, off-policy (arXiv 2209.12782)."""

    default_recipe = replace(PUBLISHED, objective=SubTrajectoryBalance)


class FLSubTBGuide(PublishedGuide):
    """Forward-looking sub-trajectory balance, off-policy (arXiv 2302.01687, 2402.05098)."""

    default_recipe = replace(PUBLISHED, objective=forward_looking)


class MixtureGuide(DiffusionGuide):
    """64 Gaussians drawn to the target by natural gradients as the reference, and 64 steps (arXiv 2209.11533).

    Trained, as ``DiffusionGuide``, only where that overlaps the target by less than 80 %, and on 16 steps.
    """

    preset = partial(GFlowNet, steps=64)
    default_recipe = Recipe(enough=0.8, refinements=(1,), grid=Coarse(16), even=0.5)
    components = 64
