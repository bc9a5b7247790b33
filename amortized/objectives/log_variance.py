"""VarGrad, the log-variance loss: every path should have the same weight."""

from __future__ import annotations

from amortized._types import Tensor
from amortized.objectives.base import Objective, finite_or_nan, huber
from amortized.path import ScoredPath


class LogVariance(Objective):
    """``(log w − mean log w)²`` over the paths of each context: zero if all weights agree, whatever log Z is.

    Valid for paths from anywhere; a context needs at least two of them. Richter et al., "VarGrad", arXiv 2010.10436;
    2307.01198.

    Args:
        delta: nats up to which the residual is squared; beyond, the loss is linear.
    """

    def __init__(self, *, delta: float = 10.0):
        super().__init__()
        self.delta = delta

    def forward(self, path: ScoredPath) -> Tensor:
        log_weight = path.by_context(finite_or_nan(path.log_weight))
        return huber(log_weight - log_weight.nanmean(0), self.delta).flatten()
