"""The parts that presets share."""

from __future__ import annotations

import torch

from amortized.policies.langevin_mlp import LangevinMLP
from amortized.processes.product_reference import ProductReference
from amortized.processes.reference import Reference


def learnable(reference: Reference | None, dim: int, scale: float) -> Reference:
    """The reference, trained with the policy; a diagonal Gaussian N(0, scale² I) where there is none.

    A process noises every end into the same prior, so it is the law of the ends before the network speaks that is
    learned: the end-to-end learned prior of arXiv 2503.00524, with the mixture's components starting where the warm-up
    found modes.
    """
    if reference is not None:
        return reference.as_learned()
    one = torch.ones(dim, 1)
    return ProductReference(one, torch.zeros(dim, 1), scale * one, learned=True)


def noising_policy(dim: int, width: int, learned: bool) -> LangevinMLP | None:
    """What bends the noising kernel, starting from the fixed one; ``None`` where that stays."""
    return LangevinMLP(dim, width) if learned else None
