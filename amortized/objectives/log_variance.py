"""VarGrad, the log-variance loss: every path should have the same weight."""

from __future__ import annotations

from amortized._types import Tensor
from amortized.objectives.base import Objective, finite_or_nan, huber
from amortized.path import ScoredPath


class LogVariance(Objective):
    """``(log w − mean log w)²`` over the paths of each context: zero where all agree, whatever its log Z is.

    Squared up to ``delta`` nats and linear beyond. Valid for paths from anywhere; a context needs two or more of them.
    Richter et al., "VarGrad", arXiv 2010.10436; 2307.01198.
    """

    def __init__(self, *, delta: float = 10.0):
        super().__init__()
        self.delta = delta

    def forward(self, path: ScoredPath) -> Tensor:
        log_weight = path.by_context(finite_or_nan(path.log_weight))
        return huber(log_weight - log_weight.nanmean(0), self.delta).flatten()
