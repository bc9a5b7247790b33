"""Reverse KL: the evidence bound, differentiated through the simulation."""

from __future__ import annotations

import torch

from amortized._types import Tensor
from amortized.objectives.base import Objective
from amortized.path import ScoredPath


class ReverseKL(Objective):
    """``−log w``: its mean is ``KL(policy ‖ noised target) − log Z``, in nats; gradients go through the simulation.

    Only for on-policy paths. A path that ends where the target has density zero has no finite loss, and no slope that
    leads back: it counts as 0. Zhang & Chen, arXiv 2111.15141; Vargas et al., 2302.13834.
    """

    on_policy_only = True
    differentiates_rollout = True
    zero_at_optimum = False
    still_at_optimum = False

    def forward(self, path: ScoredPath) -> Tensor:
        log_weight = path.log_weight
        return -torch.where(log_weight.isfinite(), log_weight, 0.0)
