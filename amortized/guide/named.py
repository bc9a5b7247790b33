"""The guides by the name of their method. Each names its parts; everything else is ``DiffusionGuide``."""

from __future__ import annotations

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


SIMULATED = Recipe(bridge_steps=0, objective=reverse_kl, behaviour=on_policy)
"""Reverse KL through the simulation, as the papers train: no maximum likelihood on bridges before it."""


class PISGuide(DiffusionGuide):
    """Brownian motion from a point, trained by reverse KL through the simulation (arXiv 2111.15141)."""

    preset = PIS
    default_recipe = SIMULATED


class DDSGuide(DiffusionGuide):
    """Ornstein-Uhlenbeck noise, trained by reverse KL through the simulation (arXiv 2302.13834)."""

    preset = DDS
    default_recipe = SIMULATED


class DISGuide(DiffusionGuide):
    """Variance-preserving noise, trained by reverse KL through the simulation (arXiv 2211.01364)."""

    preset = DIS
    default_recipe = SIMULATED


class TBGuide(DiffusionGuide):
    """Trajectory balance, off-policy (arXiv 2301.12594, 2402.05098)."""

    preset = GFlowNet
    default_recipe = Recipe(objective=trajectory_balance)


class VarGradGuide(DiffusionGuide):
    """The log-variance loss, off-policy (arXiv 2010.10436, 2402.05098): what ``DiffusionGuide`` itself does."""

    preset = GFlowNet
    default_recipe = Recipe()


class DBGuide(DiffusionGuide):
    """Detailed balance, off-policy (arXiv 2111.09266)."""

    preset = GFlowNet
    default_recipe = Recipe(objective=DetailedBalance)


class SubTBGuide(DiffusionGuide):
    """Sub-trajectory balance, off-policy (arXiv 2209.12782)."""

    preset = GFlowNet
    default_recipe = Recipe(objective=SubTrajectoryBalance)


class FLSubTBGuide(DiffusionGuide):
    """Forward-looking sub-trajectory balance, off-policy (arXiv 2302.01687, 2402.05098)."""

    preset = GFlowNet
    default_recipe = Recipe(objective=forward_looking)


class MixtureGuide(DiffusionGuide):
    """64 Gaussians drawn to the target by natural gradients as the reference, and 64 steps (arXiv 2209.11533).

    Trained, as ``DiffusionGuide``, only where that overlaps the target by less than 80 %, and on 16 steps.
    """

    preset = partial(GFlowNet, steps=64)
    default_recipe = Recipe(enough=0.8, refinements=(1,), grid=Coarse(16), even=0.5)
    components = 64
