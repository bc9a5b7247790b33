"""Reverse KL by the log-derivative trick: no gradient through the simulation, nor of the target."""

from __future__ import annotations

import torch

from amortized._types import Tensor
from amortized.objectives.base import Objective, finite_or_nan
from amortized.path import ScoredPath


class ScoreFunction(Objective):
    """Value ``−log w``, gradient ``−(log w − b) ∇ log P_F − ∇ log P_B``: unbiased for the slope of reverse KL.

    The baseline ``b`` is the mean log weight of the other paths of the batch. log P_F sums the prior and all forward
    kernels. Only for on-policy paths, and at least two finite ones in a batch. A path without finite weight counts
    as 0. Williams, doi 10.1007/BF00992696; VarGrad, arXiv 2010.10436, has the same gradient.

    >>> zero = torch.zeros(1, 3)
    >>> densities = {"log_prior": zero[0], "log_forward": zero, "log_backward": zero, "marginal": lambda: zero}
    >>> states, log_target = torch.zeros(2, 3, 1), torch.tensor([1.0, 2.0, 6.0])
    >>> path = ScoredPath(states, log_target, times=torch.zeros(1), features=states[:1], **densities)
    >>> ScoreFunction()(path).tolist()
    [-1.0, -2.0, -6.0]
    """

    on_policy_only = True
    zero_at_optimum = False
    gradient_is_slope = False

    def forward(self, path: ScoredPath) -> Tensor:
        log_weight = finite_or_nan(path.log_weight.detach())
        known = log_weight.isfinite()
        advantage = known.sum() / (known.sum() - 1).clamp(min=1) * (log_weight - log_weight.nanmean())
        log_forward = path.log_prior.double() + path.log_forward.double().sum(0)
        log_backward = path.log_backward.double().sum(0)
        slope = torch.where(known, advantage, 0.0) * log_forward + log_backward
        return -torch.where(known, log_weight + (slope - slope.detach()), 0.0)
