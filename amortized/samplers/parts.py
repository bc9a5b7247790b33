"""The parts that presets share."""

from __future__ import annotations

import torch

from amortized.policies.langevin_mlp import LangevinMLP
from amortized.processes.product_reference import ProductReference
from amortized.processes.reference import Reference


def learnable(reference: Reference | None, dim: int, scale: float) -> Reference:
    """The reference, trained with the policy; without one, a diagonal Gaussian N(0, scale² I).

    This is the end-to-end learned prior of arXiv 2503.00524, for a process that noises every end into the same prior:
    the law of the ends under zero control is learned in its place.
    """
    if reference is not None:
        return reference.as_learned()
    one = torch.ones(dim, 1)
    return ProductReference(one, torch.zeros(dim, 1), scale * one, learned=True)


def noising_policy(dim: int, width: int, learned: bool) -> LangevinMLP | None:
    """A policy that bends the noising kernel, at first not at all; None if the kernel stays fixed."""
    return LangevinMLP(dim, width) if learned else None
